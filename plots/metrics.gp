# One panel a measure, every named strategy in it; the names stand in one row below.
edge_bottom = 1.5; edge_left = 0.6; between_x = 0.55
set multiplot
eval foot
eval headline
step = nice((x_to - x_from)/(columns > 2 ? 3.0 : 5.0))
others = grey > 0 ? grey : 1 # an empty range would still be read for the axes
do for [i=1:panels] {
  eval place
  eval titled
  set xtics step
  set xrange [x_from : x_to]
  set yrange [low[i] : high[i]]
  set ytics autofreq
  bottom = i + columns > panels
  set format x (bottom ? '%g' : '')
  f = first[i]
  plot for [k=1:others] data index (grey > 0 ? f+named+k-1 : f) using 1:(grey > 0 ? $2 : NaN) with lines ls 92 title '', \
       fulls[i] with lines ls 90 title 'full data', \
       for [k=0:named-1] data index f+k using 1:3:(0):($4-$3) with vectors nohead ls styles[k+1] dt 1 lw 0.8 title names[k+1], \
       for [k=0:named-1] data index f+k using 1:2 with linespoints ls styles[k+1] lw 1.2 ps 0.45 title names[k+1]
  unset label 9001; unset label 9002; unset label 9003
}
y_title = ''
eval axes
set label 1 at screen 0.5, screen 1.1/height center
set key at screen 0.5, screen 0.95/height center top horizontal Left reverse samplen 4 width 2 maxrows 2
plot for [k=0:named-1] NaN with linespoints ls styles[k+1] title names[k+1], NaN with lines ls (any_full ? 90 : -2) title (any_full ? 'full data' : '')
unset multiplot
