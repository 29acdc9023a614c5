# Mean curves with intervals; the strategies' names stand at the end of their lines.
right = 0.55 + 0.085*longest + 0.1
if (right < 1.35) { right = 1.35 }
set lmargin at screen 0.75/width
set rmargin at screen 1 - right/width
set bmargin at screen 1.0/height
set tmargin at screen 1 - 0.4/height
set title title
set xlabel x_title
set ylabel y_title
span = x_to - x_from
side = (0.015 + 0.0035*named)*span
step = nice(span/(width > 6 ? 6.0 : 3.0))
set xtics step
set xrange [x_from - side : x_to + side]
set yrange [y_from : y_to]
eval foot
apart(i) = (i - 0.5*(named - 1)) * 0.007*span
do for [i=1:named] {
  if (end_x[i] > x_to - 0.1*span) { set arrow i from first end_x[i] + apart(i - 1), first end_y[i] to graph 1.03, first label_y[i] nohead lc rgb '#BBBBBB' lw 0.7 }
  set label i names[i] at graph 1.05, first label_y[i] point ls styles[i] offset 0.9,0 tc ls styles[i]
}
if (full == full) { set label 9000 'full data' at graph 1.05, first label_y[named+1] tc rgb '#444444' offset 0.9,0 }
others = grey > 0 ? grey : 1 # an empty range would still be read for the axes
plot for [i=1:others] data index (grey > 0 ? named + i - 1 : 0) using 1:(grey > 0 ? $2 : NaN) with lines ls 92 title '', \
     full with lines ls 90 title 'full data', \
     for [i=0:named-1] data index i using ($1 + apart(i)):3:(0):($4-$3) with vectors nohead ls styles[i+1] dt 1 lw 1.2 title names[i+1], \
     for [i=0:named-1] data index i using ($1 + apart(i)):2 with linespoints ls styles[i+1] title names[i+1]
