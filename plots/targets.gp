# A row a strategy, a mark a replicate; hollow marks with an arrow are censored.
set lmargin at screen (0.3 + 0.085*longest)/width
set rmargin at screen 1 - (0.35 + 0.08*widest)/width
set bmargin at screen 1.0/height
set tmargin at screen 1 - 0.4/height
set title title
set xlabel x_title
set xrange [x_from : x_to]
set yrange [rows + 0.6 : 0.4]
set ytics scale 0 (names[1] 1)
do for [i=2:rows] { set ytics add (names[i] i) }
set border 1
eval foot
do for [i=1:rows] {
  set label i texts[i] at graph 1.035, first i
  if (medians[i] == medians[i]) { set arrow i from medians[i], i-0.38 to medians[i], i+0.38 nohead lc rgb '#000000' lw 2.5 front }
}
reach = 0.03*(x_to - x_from)
plot for [i=1:rows] data using ($1 == i && $4 != 1 ? $2 : NaN):3 with points ls styles[i] pt 7 ps 0.5 title names[i], \
     for [i=1:rows] data using ($1 == i && $4 == 1 ? $2 : NaN):3:(reach):(0) with vectors size screen 0.004,25 nofilled ls styles[i] dt 1 lw 0.7 title names[i], \
     for [i=1:rows] data using ($1 == i && $4 == 1 ? $2 : NaN):3 with points ls styles[i] pt 6 lw 1 ps 0.45 title names[i]
