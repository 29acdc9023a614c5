# Mean ranks on an axis, names in two columns below, bars over those that are not told apart (Demsar 2006).
left_names = (k + 1)/2
top = 0.85 + (distance == distance ? 0.32 : 0)
side = (0.3 + 0.083*longest)/width
if (side > 0.4) { side = 0.4 }
if (side < 0.2) { side = 0.2 }
set lmargin at screen side
set rmargin at screen 1 - side
set tmargin at screen 1 - top/height
set bmargin at screen 0.75/height
inches = height - top - 0.75
step = inches / (left_names + 0.1 + 0.16*levels)
set yrange [inches : 0]
set xrange [1 : k]
set border 4
unset ytics; unset xtics; unset grid
set x2range [1 : k]
set x2tics 1 out scale 0.6 offset 0,-0.2
if (k > 15) { set x2tics 5 }
set x2label x_title offset 0,-0.3
eval foot
eval headline
if (distance == distance) {
  set arrow 900 from 1, screen 1 - 0.42/height to 1 + distance, screen 1 - 0.42/height heads size screen 0.004,90 lw 1.4 lc rgb '#000000'
  set label 900 distance_text at 1 + distance, screen 1 - 0.42/height offset 1,0
}
drop(i) = step*(0.16*levels + (i <= left_names ? i : k - i + 1)) + 0.02
do for [i=1:k] {
  right = i > left_names
  set arrow i from ranks[i],0 to ranks[i],drop(i) nohead lc rgb '#555555' lw 1
  set arrow 100+i from ranks[i],drop(i) to graph (right ? 1.02 : -0.02), first drop(i) nohead lc rgb '#555555' lw 1
  if (right) { set label i names[i] at graph 1.03, first drop(i) left } else { set label i names[i] at graph -0.03, first drop(i) right }
}
plot data index 1 using 2:(step*0.16*$1):($3-$2):(0) with vectors nohead lw 4 lc rgb '#000000' title 'not told apart', NaN title ''
