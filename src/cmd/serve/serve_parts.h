/* serve_parts: what the files of `kungfu serve` share: its options, one of the models that it serves, and what all of
 * them have in common. */
#ifndef CMD_SERVE_PARTS_H
#define CMD_SERVE_PARTS_H

#include "cmd/generate/generate_parts.h"
#include "cmd/guarding.h"
#include "cmd/serve/serve_adapted.h"
#include "cmd/serve/serve_documents.h"
#include "serve/aliases.h"
#include "serve/beside.h"
#include "serve/models.h"

struct serve {
	struct common common;
	int64_t port, context, parallel, queue;
	size_t memory;
	double grace, timeout, step_seconds;
	const char *adapter_dir, *slot_save_path, *files_dir, *runs_dir;
	int64_t tune_threads;
	const char *host, *allow_host, *alias, *key_file, *compute, *moderation;
	struct opt_list adapter, keys;
	struct four_bit_options four_bit;
	struct cache_options cache;
	struct draft_options draft;
	struct watermark watermark;
	struct guarding_options guard;
	struct sources_options documents;
};

/* A model, its adapters, what answers with them. */
struct serving {
	struct server *of;
	char *path, *name;             /* name: of its file, or --alias */
	char *of_model[ALIAS_OF_MODEL]; /* of the options, or of the file of names; or NULL */
	json_t *filed;                 /* names of the file's adapters over it; NULL: there is no file */
	struct draft_options draft;    /* the options', with its own model */
	struct named_adapters named;   /* paths are borrowed */
	struct adapters *adapters;     /* NULL: one over all, or an encoder */
	struct drafting drafting;
	size_t fixed_bytes;            /* of weights and work, where --memory bounds all */
	size_t memory;                 /* of --memory its part; 0: no bound */
	struct loaded l;
	bool loaded;
	struct session *session;
	struct engine *engine;
	struct openai *openai;
	struct serve_adapted adapted;
	struct sources_options sources; /* the options', or adapt's */
	struct serve_documents documents;
	enum { SERVED, LEFT_OUT, UNREAD, DRAINED } state; /* of one that leaves: serve_names.c */
};

struct server {
	struct app *app;
	const struct serve *o;
	struct serving *list[MODELS_MOST]; /* [n] */
	size_t n;
	struct serving **leaving;      /* [n_leaving] that end what they were asked */
	size_t n_leaving;
	const char *names;             /* the file of names, or NULL: one model is served */
	struct loaded moderation;
	char *moderation_name;
	struct models *models;
	struct engine *engine;         /* the queue; each model's lies beside it */
	struct http *http;
	struct keys *keys;
	struct beside *beside;         /* NULL: no --files-dir */
	struct guarding guarding;
	struct openai_counts counts;   /* of models that have left */
};

/* --- serve_model.c --- */

/* The file's name without .gguf, or the folder's; mem_free. */
char *serving_name(const char *path);
/* What a model is opened with. */
struct serving_options {
	const char *path;
	const char *of_model[ALIAS_OF_MODEL]; /* or NULL */
	const char *const *names, *const *paths; /* [n] adapters of a file of names; NULL: the options' */
	size_t n;
};
/* Model and session. NULL and a sentence. */
struct serving *serving_open(struct server *v, const struct serving_options *o, struct err *e);
/* Asked from now on, once the models' list has it; with its part of the memory. */
int serving_start(struct serving *s, struct err *e);
/* Nothing is asked of it any more. */
void serving_close(struct serving *s);
int serving_context(const struct serving *s);
/* Weights, work and one context: what it takes at least. */
size_t serving_least(struct serving *s);
/* --memory is enough for all; each has its part from now on. */
int server_share_memory(struct server *v, struct err *e);

/* --- serve_names.c --- */

/* Models by their names, of a file (serve/aliases.h). */
int names_open(struct server *v, const char *file, struct err *e);
/* The file again: what moved is another model from now on, and what nobody names any more ends what it was asked. A
 * file that cannot be read, a model that cannot be opened: a warning, and nothing changes. */
void names_read(struct server *v);
/* Models that leave and have nothing left to answer go. */
void names_tick(struct server *v);

#endif
