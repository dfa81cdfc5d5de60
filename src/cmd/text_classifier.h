/* text_classifier: how likely a label is of texts that are at hand, by a model that classifies or a folder of probe. */
#ifndef CMD_TEXT_CLASSIFIER_H
#define CMD_TEXT_CLASSIFIER_H

#include "cmd/command.h"

struct text_classifier { const char *model, *label, *compute; };

/* p: [n]. −1 also where it has no such label: a sentence with those that it has. */
int classify_texts(struct app *app, const struct text_classifier *c, const char *const *text, size_t n, double *p,
                   struct err *e);

#endif
