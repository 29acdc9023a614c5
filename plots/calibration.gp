# One panel a strategy: accuracy against confidence, area of a mark by its share of the test rows.
edge_left = 0.75; between_x = 0.22
set multiplot
eval foot
eval headline
set xrange [0:1]; set yrange [0:1.03]
set xtics 0.5; set ytics 0.5
do for [i=1:panels] {
  eval place
  eval titled
  set format y (in_column(i) == 0 ? '%g' : '')
  set format x (i + columns > panels ? '%g' : '')
  set label 3 eces[i] at graph 0.95, graph 0.09 right font small_title
  plot x with lines ls 93 lw 0.8 title 'perfect', \
       data index i-1 using 1:3:(0):($4-$3) with vectors nohead ls styles[i] dt 1 lw 1 title titles[i], \
       data index i-1 using 1:2 with lines ls styles[i] lw 1.2 title titles[i], \
       data index i-1 using 1:2:(0.4 + 2.2*sqrt($5)) with points ls styles[i] ps variable title titles[i]
  unset label 9001; unset label 9002; unset label 9003
}
unset label 3
x_title = 'confidence'; y_title = 'accuracy'
eval axes
plot NaN title ''
unset multiplot
