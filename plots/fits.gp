# One panel a strategy: its mean curve, the power law through it, and the extrapolation on shaded ground.
set multiplot
eval foot
eval headline
set logscale x
set xrange [0.95*x_from : 1.05*x_to]
set yrange [y_from : y_to]
middle = x_to/2.0
set object 1 rectangle from middle, graph 0 to 1.05*x_to, graph 1 behind fc rgb '#DDDDDD' fs solid 0.5 noborder
do for [i=1:panels] {
  eval place
  eval titled
  set format y (in_column(i) == 0 ? '%g' : '')
  if (i + columns > panels) {
    last = columns > 4 ? '' : sprintf('%g', x_to)
    set xtics (sprintf('%g', x_from) x_from, sprintf('%g', middle) middle, last x_to)
  } else {
    set xtics ('' x_from, '' middle, '' x_to)
  }
  set label 3 says[i] at graph 0.97, graph 0.08 right font small_title
  k = 3*(i - 1)
  plot full with lines ls 90 title 'full data', \
       data index k using 1:3:(0):($4-$3) with vectors nohead ls styles[i] dt 1 lw 1 title titles[i], \
       data index k using 1:2 with points ls styles[i] ps 0.5 title titles[i], \
       data index k+1 using 1:2 with lines ls styles[i] dt 1 lw 1.4 title titles[i], \
       data index k+2 using 1:2 with lines ls styles[i] dt 2 lw 1.4 title 'extrapolated'
  unset label 9001; unset label 9002; unset label 9003
}
unset label 3
x_title = 'labels (logarithmic)'
eval axes
plot NaN title ''
unset multiplot
