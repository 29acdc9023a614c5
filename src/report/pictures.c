/* From a figure request to files that wait for gnuplot. */
#include "report/pictures.h"

#include <stdlib.h>
#include <string.h>

static al_status title_of(char **out, const al_figure_request *r, const al_figure_type *type) {
  char text[256];
  if (r->n > 1) return al_format(out, "%s: %s, %zu datasets", type->title, r->settings[0]->model, r->n);
  return al_format(out, "%s%s: %s", type->title, r->axis == AL_AXIS_COST ? " against cost" : "",
                   al_setting_title(r->settings[0], text));
}

al_status al_pictures_add(al_pictures *pictures, const al_picture_request *r) {
  al_status status;
  char *path = NULL;
  al_canvas canvas = {.name = r->name,
                      .template = r->type->name,
                      .source = r->source,
                      .redraw = r->redraw,
                      .width = r->width,
                      .height = r->height};
  AL_TRY(al_grow(&pictures->items, &pictures->capacity, pictures->n + 1, sizeof *pictures->items));
  al_picture *p = &pictures->items[pictures->n];
  *p = (al_picture){.type = r->type, .axis = r->figure.axis};
  pictures->n++;
  AL_TRY(al_copy_string(&p->folder, r->folder));
  AL_TRY(al_copy_string(&p->name, r->name));
  AL_TRY(title_of(&p->title, &r->figure, r->type));
  AL_TRY(r->type->draw(&canvas, &r->figure));
  if (canvas.skipped.size != 0) {
    AL_TRY(al_copy_string(&p->skipped, canvas.skipped.data));
    goto done;
  }
  AL_TRY(al_copy_string(&p->caption, canvas.caption.data == NULL ? "" : canvas.caption.data));
  AL_TRY(al_format(&path, "%s%s%s", r->out, *r->folder == '\0' ? "" : "/", r->folder));
  p->drawing = pictures->drawings.n;
  AL_TRY(al_canvas_finish(&canvas, path, &pictures->drawings));
done:
  free(path);
  al_canvas_free(&canvas);
  return status;
}

void al_pictures_free(al_pictures *pictures) {
  for (size_t i = 0; i < pictures->n; i++) {
    al_picture *p = &pictures->items[i];
    free(p->folder);
    free(p->name);
    free(p->title);
    free(p->caption);
    free(p->skipped);
  }
  free(pictures->items);
  al_drawings_free(&pictures->drawings);
  *pictures = (al_pictures){0};
}
