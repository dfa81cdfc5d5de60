/* label_view: what a person or a script sees of a model's labels and of how well it says them. */
#ifndef CMD_LABEL_VIEW_H
#define CMD_LABEL_VIEW_H

#include "cmd/command.h"
#include "eval/evaluate.h"
#include "model/labels.h"

/* One line of text of a score: name, value, error, interval, how many of what; nothing where there is none. */
void show_estimate(const char *name, const struct estimate *x, const char *unit);
void put_label_scores(json_t *j, const struct evaluation *v, const struct labels *l);
void show_label_scores(const struct evaluation *v, const struct labels *l);

#endif
