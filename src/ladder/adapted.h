/* adapted: what `kungfu adapt` leaves: a folder whose artefact.json names its base model and what lies over it, so that
 * the folder is taken wherever a model is. */
#ifndef LADDER_ADAPTED_H
#define LADDER_ADAPTED_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define ADAPTED_FILE "artefact.json"

struct adapted {
	json_t *json;
	const char *kind; /* base, adapter, model, learner, … */
	/* To be opened; NULL: none is. learner: a folder of learn/learner.h, which answers without a model. */
	char *model, *adapter, *learner;
	char *dir; /* where the rung's files lie */
};

/* Is there a folder with an artefact? */
bool adapted_is(const char *path);
int adapted_open(struct adapted *a, const char *path, struct err *e);
void adapted_close(struct adapted *a);
/* Writes dir/artefact.json: what a rung leaves (taken), whose files lie in `files`, a name within dir. */
int adapted_write(const char *dir, const char *base, const char *rung, const char *files, json_t *leaves,
                  struct err *e);

#endif
