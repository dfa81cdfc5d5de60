/* artefact: what `kungfu adapt` leaves: a folder whose artefact.json names its base model and what lies over it, so that
 * the folder is taken wherever a model is. */
#ifndef LADDER_ARTEFACT_H
#define LADDER_ARTEFACT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define ARTEFACT_FILE "artefact.json"

struct artefact {
	json_t *json;
	const char *kind;               /* base, adapter, model, constant, … */
	char *model, *adapter;          /* to be opened; NULL: none is */
	char *dir;                      /* where the rung's files lie */
};

/* Is there a folder with an artefact? */
bool artefact_is(const char *path);
int artefact_open(struct artefact *a, const char *path, struct err *e);
void artefact_close(struct artefact *a);
/* Writes dir/artefact.json: what a rung leaves (taken), whose files lie in `files`, a name within dir. */
int artefact_write(const char *dir, const char *base, const char *rung, const char *files, json_t *leaves,
                   struct err *e);

#endif
