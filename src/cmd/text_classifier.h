/* text_classifier: how likely a label is of texts that are at hand, by a model that classifies or a folder of probe. */
#ifndef CMD_TEXT_CLASSIFIER_H
#define CMD_TEXT_CLASSIFIER_H

#include "cmd/command.h"

struct text_classifier { const char *model, *label, *compute; };

/* One that stays open. −1 also where it has no such label: a sentence with those that it has. c's texts and app are
 * borrowed; device: it computes there, NULL: on app's. */
struct text_judge;
int text_judge_open(struct text_judge **j, struct app *app, const struct text_classifier *c, struct device *device,
                    struct err *e);
int text_judge_run(struct text_judge *j, const char *const *text, size_t n, double *p, struct err *e); /* p: [n] */
/* Bytes of a text that it reads whole, whatever they are; 0: any number. */
size_t text_judge_bytes(const struct text_judge *j);
void text_judge_close(struct text_judge *j);

/* Opened, run, closed. */
int classify_texts(struct app *app, const struct text_classifier *c, const char *const *text, size_t n, double *p,
                   struct err *e);

#endif
