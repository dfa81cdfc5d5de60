/* adapted: what `kungfu adapt` leaves: a folder whose artefact.json names its base model and what lies over it, so that
 * the folder is taken wherever a model is. */
#ifndef LADDER_ADAPTED_H
#define LADDER_ADAPTED_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define ADAPTED_FILE "artefact.json"
#define ADAPTED_TEXTS "texts"
#define ADAPTED_TURNS "turns"

struct adapted {
	json_t *json;
	const char *kind; /* base, adapter, model, learner, … */
	/* To be opened; NULL: none is. learner: a folder of learn/learner.h, which answers without a model. */
	char *model, *adapter, *learner;
	char *prompt; /* a file of what stands before each row (data/fewshot.h), or NULL */
	/* Of a cascade: the learner that answers where it is so sure; what is above answers the rest. Else NULL. */
	char *first;
	double threshold;
	const char *asks;      /* the column in which rows asked, or NULL */
	const char *calibrate; /* how choices are calibrated, or NULL */
	/* How rows were asked: as texts without a chat template, choices as turns of one; NULL: as rows are. */
	const char *asked;
	/* What stands before each row as it is found, or NULL: {index, num, retriever, template}. */
	const json_t *documents;
	char *dir; /* where the rung's files lie */
};

/* Is there a folder with an artefact? */
bool adapted_is(const char *path);
int adapted_open(struct adapted *a, const char *path, struct err *e);
/* The folder of the learner that path is, or leaves; NULL: it is none. mem_free. */
char *adapted_learner(const char *path);
/* Of a cascade the learner that answers first, how sure it must be, and, where another learner answers the rest, that;
 * NULL: it is no cascade. mem_free. */
char *adapted_first(const char *path, double *threshold, char **rest);
/* A text as a row of the kind that was learnt from, without an answer: new. */
json_t *adapted_row(const char *path, const char *text, size_t n);
void adapted_close(struct adapted *a);
/* Writes dir/artefact.json: what a rung leaves (taken), whose files lie in `files`, a name within dir. */
int adapted_write(const char *dir, const char *base, const char *rung, const char *files, json_t *leaves,
                  struct err *e);

#endif
