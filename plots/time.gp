# Seconds a query and peak memory, side by side, against the rows that there are to choose from.
columns = 2; rows = 1; edge_bottom = 1.5; edge_left = 0.75; between_x = 0.85
set multiplot
eval foot
eval headline
set xrange [x_from : x_to]
if (several) { set logscale x } else { step = nice((x_to - x_from)/3.0); set xtics step }
others = grey > 0 ? grey : 1 # an empty range would still be read for the axes
array y_titles[2] = ['seconds a query', 'peak memory (MiB)']
array at[2] = [2, 5]
do for [i=1:2] {
  eval place
  if (i == 1) { set logscale y } else { unset logscale y }
  set format y '%g'
  set title y_titles[i] offset 0,-0.6
  c = at[i]
  plot for [k=1:others] data index (grey > 0 ? named+k-1 : 0) using 1:(grey > 0 ? column(c) : NaN) with linespoints ls 92 pt 7 ps 0.3 title '', \
       for [k=0:named-1] data index k using 1:(column(c+1)):(0):(column(c+2)-column(c+1)) with vectors nohead ls styles[k+1] dt 1 lw 0.9 title names[k+1], \
       for [k=0:named-1] data index k using 1:c with linespoints ls styles[k+1] ps 0.6 title names[k+1]
  unset label 9001; unset label 9002; unset label 9003
}
x_title = 'unlabelled pool (rows)'; y_title = ''
eval axes
set label 1 at screen 0.5, screen 1.1/height center
set key at screen 0.5, screen 0.95/height center top horizontal Left reverse samplen 4 width 2 maxrows 2
plot for [k=0:named-1] NaN with linespoints ls styles[k+1] title names[k+1]
unset multiplot
