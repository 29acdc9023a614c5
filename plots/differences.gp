# One panel a strategy, its difference to random with a band.
set multiplot
eval foot
eval headline
set xrange [x_from : x_to]
set yrange [y_from : y_to]
step = nice((x_to - x_from)/(columns > 5 ? 1.6 : columns > 3 ? 3.0 : 5.0))
do for [i=1:panels] {
  eval place
  eval titled
  set format y (in_column(i) == 0 ? '%g' : '')
  bottom = i + columns > panels
  set format x (bottom ? '%g' : '')
  set xtics step
  plot data index i-1 using 1:3:4 with filledcurves ls styles[i] fs transparent solid 0.25 noborder title titles[i], \
       0 with lines ls 1 lw 1.2 title 'random', \
       data index i-1 using 1:2 with linespoints ls styles[i] dt 1 ps 0.5 title titles[i]
  unset label 9001; unset label 9002; unset label 9003
}
eval axes
plot NaN title ''
unset multiplot
