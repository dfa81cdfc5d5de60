/* trials: tuning runs beside each other in one process: recipes that can share a model are trained together (train/
 * trainers.h), the others, and those that the memory has no room for, after them. Each run has its own folder,
 * checkpoints, lines and result, with the bits that it has alone, and is resumed alone or with others.
 *
 * For `kungfu tune a.yaml b.yaml` and for who tries many recipes. The recipes are resolved and settled, their paths
 * whole, their folders apart. */
#ifndef CMD_TRIALS_H
#define CMD_TRIALS_H

#include "cmd/trial.h"

/* folder: TRIAL_NEW or TRIAL_RESUME, of all. The exit status; −1 and a sentence where none could begin, or where some
 * failed (the others went on, and have their results). */
int trials_run(struct app *app, const struct recipe *recipes, size_t n, enum trial_folder folder, struct err *e);

#endif
