# One panel a strategy: a column a round, a row a class, colour: share in units of an even share, on a scale of doublings.
edge_left = named_classes ? 0.45 + 0.055*longest : 0.65; edge_right = 1.0
set multiplot
eval foot
eval headline
set palette defined (-2 '#b35806', 0 '#f7fbff', 2 '#08519c')
set cbrange [-2:2]
set xrange [-0.5 : last_round + 0.5]
set yrange [-0.5 : classes - 0.5]
unset grid
unset colorbox
set style fill solid 1 noborder
level(v) = v <= 0.25 ? -2 : v >= 4 ? 2 : log(v)/log(2)
step = last_round > 0 ? nice(last_round/(columns > 4 ? 1.2 : 2.0)) : 1
class_step = nice(classes/5.0) < 1 ? 1 : nice(classes/5.0)
tiny = of_size(8)
class_label(c) = in_column(i) == 0 ? class_names[c] : ''
do for [i=1:panels] {
  eval place
  eval titled
  bottom = i + columns > panels
  set xtics step
  set format x (bottom ? '%g' : '')
  if (named_classes) {
    set ytics scale 0 (class_label(1) 0) font tiny
    do for [c=2:classes] { set ytics add (class_label(c) c - 1) }
  } else {
    set ytics class_step
    set format y (in_column(i) == 0 ? '%g' : '')
  }
  if (i == panels) {
    set colorbox user origin screen 1 - 0.85/width, screen 0.95/height size screen 0.14/width, screen 1 - 1.6/height
    set cbtics ('1/4' -2, '1/2' -1, '1' 0, '2' 1, '4' 2) scale 0
  }
  plot data index i-1 using 1:3:($1-0.5):($1+0.5):($3-0.5):($3+0.5):(level($4)) with boxxyerror lc palette title ''
  unset label 9001; unset label 9002; unset label 9003
}
x_title = 'round'; y_title = 'class'
eval axes
plot NaN title ''
unset multiplot
