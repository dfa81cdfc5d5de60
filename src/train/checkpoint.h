/* checkpoint: all that a run needs to go on exactly, in a folder DIR/checkpoint-<step>/.
 *
 *     state.safetensors    w.<name> of every parameter: the weights as they are trained (f32, rows in the order of the
 *                          model's file); <state>.<name>: its optimizer's state, as the optimizer's row lists it;
 *                          kept.<name>: what is kept beside the weights (adapter.kept)
 *                          reference.<name>: the numbers of a reference that follows the weights (train/synced.h)
 *                          of a run on several ranks there are state-00001-of-00004.safetensors …: each rank's has
 *                          the parameters that it updates. Any number of ranks reads either.
 *     trainer_state.json   the step, what the caller wants to know again, the optimizer, hashes
 *     and what the caller puts beside (an adapter in PEFT's form)
 *
 * Written beside (base/folder.h), every file synced, moved in, the parent synced: a crash or a full disk at any moment
 * leaves the checkpoints that were there, and one that is replaced is whole under its name, old or
 * new. The order of data needs no state (it is a function of the step), nor do random numbers (counters) and the
 * learning rate. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include <jansson.h>

#include "train/optim.h"

struct checkpoint {
	const struct params *params;     /* its w is written, or read into */
	const struct params *kept;       /* the same, of numbers that are not trained; NULL: there are none */
	float *reference;                /* the same, in the layout of params; NULL: there is none */
	const struct optim *optim;       /* started; its state likewise */
	json_t *facts;                   /* write: borrowed; read: new */
	int (*beside)(void *ctx, const char *dir, struct err *e); /* writes more files into dir, or NULL */
	/* Of one among `parts` processes, the part-th: it has the state of parameters own[0] … own[1] − 1 alone, and
	 * writes these. The first one writes the folder: `call` has the others write theirs into dir, `gather` waits
	 * for them (status, e: what came of the first's) and puts their facts (checkpoint_write_part) behind its own
	 * in list. own NULL: there is one process. */
	const size_t *own;
	bool apart;                      /* the weights of others are not read either: they are not here */
	int part, parts;
	int (*call)(void *ctx, const char *dir, struct err *e);
	int (*gather)(void *ctx, int status, json_t *list, struct err *e);
	void *ctx;
};

/* Replaces a checkpoint; a folder that is neither one nor empty, or holds a file that no checkpoint wrote, is
 * refused. */
int checkpoint_write(const char *dir, const struct checkpoint *c, struct err *e);
/* Its file alone, into a folder that another writes; *facts: of it, a new reference. */
int checkpoint_write_part(const char *dir, const struct checkpoint *c, json_t **facts, struct err *e);
/* -1 when anything does not fit or a hash is wrong; nothing was read into parameters and state then. */
int checkpoint_read(const char *dir, struct checkpoint *c, struct err *e);
json_t *checkpoint_facts(const char *dir, struct err *e);  /* new; NULL when they are damaged */
/* Only the weights, into params->w, and what is kept beside them (or NULL); the state is not looked at. */
int checkpoint_read_weights(const char *dir, const struct params *params, const struct params *kept, struct err *e);
size_t checkpoint_bytes(const struct params *p, const struct optim *o);  /* of its tensors */

/* Steps of the checkpoints in a run directory, ascending; mem_free. */
int checkpoint_list(const char *run_dir, long **steps, size_t *n, struct err *e);
char *checkpoint_path(const char *run_dir, long step);                 /* mem_free */
int checkpoint_sweep(const char *run_dir, struct err *e);              /* removes what was half written */
/* Removes the oldest until `limit` are left; never the newest, never that of step `keep` (−1: none), which counts. */
/* Nor one of step `also`, which does not count. */
int checkpoint_prune(const char *run_dir, long limit, long keep, long also, struct err *e);
int checkpoint_drop_after(const char *run_dir, long step, struct err *e); /* removes all of later steps */

#endif
