/* run_dir: the folder of a run: recipe.json (what was asked for), run.json (what it ran on and how it ended),
 * metrics.jsonl (a line as things happen), checkpoint-<step>/, and the result directly in it. */
#ifndef TRAIN_RUN_DIR_H
#define TRAIN_RUN_DIR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "format/source.h"

#define AVERAGE_FOLDER "ema" /* of --ema-weights beside: a result too */
#define QAT_FILE SOURCE_GGUF   /* of --qat: the result */

/* What stands in the folder before its run: what was asked of pretraining, and what was prepared for it. */
#define PRETRAIN_FILE "pretrain.json"
#define PREPARED "prepared"

struct run_dir {
	char *path;
	int lock;                   /* this process alone writes it, until release */
	size_t metrics_bytes;       /* length of metrics.jsonl */
};

/* Refuses a folder that is not empty, unless overwrite, or that another process writes; *old: it holds an earlier run's
 * files. Changes nothing. */
int run_dir_check(const char *path, bool overwrite, bool *old, struct err *e);
/* Makes the folder, which is this process's until release, and writes its recipe; refuses as run_dir_check. What an
 * earlier run left there (checkpoints, metrics, result) is removed first; other files stay. */
int run_dir_create(struct run_dir *d, const char *path, bool overwrite, const json_t *recipe, struct err *e);
int run_dir_refuse(const char *path, struct err *e);  /* what is not a run: −1 and the sentence of it */
/* An existing run's, which is this process's until release; *recipe: new reference. Half-written checkpoints are
 * removed. */
int run_dir_open(struct run_dir *d, const char *path, json_t **recipe, struct err *e);
/* A run that could not begin leaves nothing behind: what a run writes is removed, and the folder when it is empty
 * then. */
void run_dir_discard(struct run_dir *d);
void run_dir_release(struct run_dir *d);

char *run_dir_file(const struct run_dir *d, const char *name);            /* mem_free */
int run_dir_metric(struct run_dir *d, const json_t *line, struct err *e); /* appends a line to metrics.jsonl */
int run_dir_rewind(struct run_dir *d, size_t metrics_bytes, struct err *e);
/* run.json: as it is (NULL and no error when there is none), and anew. */
json_t *run_dir_facts(const struct run_dir *d);
int run_dir_set_facts(const struct run_dir *d, const json_t *facts, struct err *e);

#endif
