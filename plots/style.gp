# Shared look of alab's figures, and their terminals. A figure's script sets format, name, width and height (inches), title,
# note and provenance, then loads this file; edit it and redraw.
set encoding utf8
# Figures narrower than 6 inches, as a paper's column, get smaller text; margins, which are in inches, shrink with it.
zoom = width < 6 ? sqrt(width/6.0) : 1.0
if (zoom < 0.6) { zoom = 0.6 }
if (format eq 'svg') eval sprintf("set terminal svg size %d,%d dynamic enhanced font 'DejaVu Sans,%g' background 'white'", 100*width, 100*height, 12*zoom)
if (format eq 'pdf') eval sprintf("set terminal pdfcairo size %gin,%gin enhanced font 'DejaVu Sans,9' fontscale %g linewidth %g pointscale %g", width, height, 0.75*zoom, zoom, 0.6*zoom)
if (format eq 'png') eval sprintf("set terminal pngcairo size %d,%d enhanced font 'DejaVu Sans,9' fontscale %g linewidth %g pointscale %g", 200*width, 200*height, 2*zoom, 2*zoom, 1.5*zoom)
if (format eq 'tex') eval sprintf("set terminal cairolatex pdf input size %gin,%gin font ',8' linewidth 1 pointscale 0.72", width, height)
set output (format eq 'tex' ? name.'-tex.tex' : name.'.'.format)
data = name.'.dat'
width = width/zoom
height = height/zoom
# A font of so many pixels, 100 to the inch; LaTeX has its own.
of_size(pixels) = format eq 'tex' ? '' : sprintf(',%g', format eq 'svg' ? pixels*zoom : 0.75*pixels)

# Okabe-Ito colours and four more; strategies are told apart by dash and marker as well, so that a grey print can be read.
# Style 1 is random's.
set style line 1 lc rgb "#000000" dt 2 pt 4  lw 2.0 ps 0.7
set style line 2 lc rgb "#0072B2" dt 1 pt 7  lw 1.6 ps 0.7
set style line 3 lc rgb "#D55E00" dt 1 pt 5  lw 1.6 ps 0.7
set style line 4 lc rgb "#009E73" dt 1 pt 9  lw 1.6 ps 0.8
set style line 5 lc rgb "#CC79A7" dt 4 pt 11 lw 1.6 ps 0.8
set style line 6 lc rgb "#E69F00" dt 5 pt 13 lw 1.6 ps 0.8
set style line 7 lc rgb "#56B4E9" dt 4 pt 6  lw 1.6 ps 0.7
set style line 8 lc rgb "#7F5F00" dt 5 pt 8  lw 1.6 ps 0.8
set style line 9 lc rgb "#882255" dt 3 pt 10 lw 1.6 ps 0.8
set style line 10 lc rgb "#44AA99" dt 3 pt 12 lw 1.6 ps 0.8
set style line 11 lc rgb "#AA4499" dt 2 pt 1 lw 1.6 ps 0.8
set style line 12 lc rgb "#666666" dt 2 pt 2 lw 1.6 ps 0.8
set style line 90 lc rgb "#444444" dt 3 lw 1.5
set style line 91 lc rgb "#DDDDDD" lw 0.7
set style line 92 lc rgb "#BBBBBB" lw 0.9
set style line 93 lc rgb "#555555" lw 1
set grid back ls 91
set border 3 lc rgb "#555555"
set tics nomirror out scale 0.6
unset key
# In SVG a curve's title is what a reader sees when pointing at it, and gnuplot writes it only with a key: outside the picture.
if (format eq 'svg') { set key at screen 3, screen 3 }

# What the bars are, where the data came from and how to redraw it: under every figure (in a comment where LaTeX sets it).
small = of_size(8.6)
foot = "set label 9001 note at screen 0.012, screen 0.30/height font '".small."' tc rgb '#555555';" \
     . (format eq 'tex' ? "" : "set label 9002 provenance at screen 0.012, screen 0.13/height font '".small."' tc rgb '#555555';")
headline = "set label 9003 title at screen 0.5, screen 1.0 - 0.2/height center;"
if (format eq 'tex') { note = '\scriptsize '.note }

# Small multiples: panel i of a grid, its left and top edge in inches from the figure's.
edge_left = 0.85; edge_right = 0.15; edge_top = 0.3; edge_bottom = 0.95; between_x = 0.14; between_y = 0.34
titled = "set title titles[i] offset 0,-0.7 font small_title"
small_title = exists('columns') && columns > 5 ? of_size(9.5) : ''
in_column(i) = (i - 1) % columns
in_row(i) = (i - 1) / columns
panel_width(i) = (width - edge_left - edge_right - between_x*(columns - 1)) / columns
panel_height(i) = (height - edge_top - edge_bottom - between_y*rows) / rows
panel_left(i) = (edge_left + in_column(i)*(panel_width(i) + between_x)) / width
panel_bottom(i) = (height - edge_top - between_y - in_row(i)*(panel_height(i) + between_y) - panel_height(i)) / height
# 1, 2 or 5 times a power of ten, near x: a step of tics.
fraction(x) = x/10**floor(log10(x))
nice(x) = 10**floor(log10(x))*(fraction(x) < 1.5 ? 1 : fraction(x) < 3.5 ? 2 : fraction(x) < 7.5 ? 5 : 10)

place = "set lmargin at screen panel_left(i); set rmargin at screen panel_left(i) + panel_width(i)/width;" \
      . "set bmargin at screen panel_bottom(i); set tmargin at screen panel_bottom(i) + panel_height(i)/height"

# After the panels: titles of both axes, said once.
axes = "unset title; unset border; unset tics; unset grid; unset xlabel; unset ylabel; unset logscale; unset object; unset colorbox;" \
     . "set label 1 x_title at screen 0.5*(edge_left + width - edge_right)/width, screen 0.58/height center;" \
     . "set label 2 y_title at screen 0.16/width, screen 0.5*(edge_bottom + height - edge_top)/height center rotate by 90;" \
     . "set lmargin at screen 0; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen 1; set xrange [0:1]; set yrange [0:1]"
