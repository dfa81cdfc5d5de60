/* openai: the calls of OpenAI's public clients, and those of llama-server that people use beside them, over one
 * engine. Each kind of call is a file of its own (calls_x.c).
 *
 * A model of many names: its own, and each adapter's, whose answers stand in one batch. What a request asks and is not
 * done here is refused by name (400), never left out; a prompt that does not fit is 400 context_length_exceeded, never
 * cut. Errors have the body that OpenAI's clients read: {"error": {message, type, param, code}}.
 *
 * Threads: openai_admit and openai_answer are called by http's thread; all that touches the model is a task of the
 * engine's. */
#ifndef SERVE_OPENAI_H
#define SERVE_OPENAI_H

#include "data/fewshot.h"
#include "gas/meter.h"
#include "infer/watermark.h"
#include "guard/perplexity.h"
#include "ladder/sayer.h"
#include "serve/adapters.h"
#include "serve/alone.h"
#include "serve/engine.h"
#include "serve/http.h"
#include "serve/keys.h"
#include "template/template.h"

/* Documents that stand before the last question of a conversation. */
struct openai_documents {
	/* Messages with what the last user's turn finds (num sources) in it, and what that is, [{number, id, score,
	 * text, title, source, chunk}]; both new. 1: there is no such turn; −1 and a sentence: the index cannot be read
	 * now. The engine's thread. */
	int (*place)(void *ctx, const json_t *messages, size_t num, json_t **made, json_t **found, struct err *e);
	void *ctx;
	size_t num;                          /* unless a request says another, 1 … most */
	int most;
	bool of_texts;                       /* before a prompt of completions too, where it does not say otherwise */
	const char *path, *retriever;        /* for eyes */
};

struct beside;
struct openai_options {
	struct engine *engine;
	struct model *model;
	const struct overlay *overlay;       /* of all that is asked, where `adapters` is NULL; or NULL */
	struct adapters *adapters;           /* those that may be asked for by name; NULL: there are none */
	struct model *moderation;            /* a classifier, of /v1/moderations; NULL: the model, if it is one */
	const struct overlay *moderation_overlay; /* or NULL */
	const char *moderation_name;
	struct device *device;
	/* What stands before each question (of `kungfu adapt`), or NULL; raw: questions are one user's turn, continued
	 * as a text after it, since there is no template or what stands before is a text itself. */
	struct fewshot *before;
	bool raw;
	/* What says a label instead of a text, where it is sure; or NULL. The engine's thread. labels_alone: nothing
	 * else answers, and the model only says which tokens there are. */
	struct sayer *sayer;
	bool labels_alone;
	const struct openai_documents *documents; /* or NULL */
	const struct template *chat;         /* NULL: the model has none */
	const char *name, *path;             /* of the model, in requests (openai_names), and where it lies */
	struct models *models;               /* that it is one of; NULL: it is alone */
	struct keys *keys;                   /* who may ask, and how much; where there are none all may */
	struct alone alone;                  /* what answers take alone; of zeros: that is not known */
	int context;                         /* tokens of a prompt and its answer */
	int parallel;                        /* answers beside each other */
	struct watermark watermark;          /* in all answers; without a key none */
	int queue;                           /* that wait beside them; one more is 503 */
	double timeout;                      /* seconds of a request at most, 0: no bound */
	const char *slot_save_path;          /* folder of /slots' files; NULL: they are not served */
	struct beside *beside;               /* files, tuning jobs and batches; NULL: they are not served */
	const char *runs_dir;                /* whose runs the page shows; or NULL */
	int64_t created;                     /* seconds since 1970, of /v1/models */
	/* What an answer costs: opened when it is asked for, read when it is there; NULL: it is not told. */
	void (*open_span)(struct meter_span *s);
	void (*read_span)(const struct meter_span *s, struct gas *g);
	/* What looks at texts that come in, and at answers too; NULL: nobody. What it finds is told, in any thread. */
	const struct guard *guard;
	bool guard_outputs;
	/* Adds what models say of the text; or NULL. In any thread. */
	void (*guard_more)(void *ctx, const char *text, size_t n, struct guard_result *r);
	void (*guard_told)(void *ctx, const char *where, const char *text, const struct guard_result *r);
	void *guard_ctx;
	/* Beside the guard: texts of what the model reads to answer, by what they cost it; told as the others. */
	struct guard_perplexity guard_perplexity;
};

struct openai;
struct models;
/* All is borrowed until openai_free. */
struct openai *openai_new(const struct openai_options *o);
/* When http has stopped and the engine has no task and no answer left. */
void openai_free(struct openai *s);
bool openai_admit(void *openai, const struct http_request *q, struct http_reply *r);
void openai_answer(void *openai, const struct http_request *q, struct http_reply *r);

/* What a while of answering took, by which requests are judged before they are answered. Any thread. */
void openai_rate(struct openai *s, const struct gas *whole);
/* The model's own names from now on, of which the first is told; none: it is asked by its adapters' alone. Any
 * thread. */
enum { OWN_NAMES = 64 }; /* at most */
void openai_names(struct openai *s, const char *const *names, size_t n);
size_t openai_own(struct openai *s, const char *out[OWN_NAMES]); /* how many; borrowed until openai_free */
/* The engine's thread: is it being asked for answers? */
bool openai_asked(const struct openai *s);
/* From now on every call is 503: the server ends. Any thread. */
void openai_close(struct openai *s);
/* The engine's thread: answers whose clients have left end; `all`: every answer does, as cancelled. */
void openai_sweep(struct openai *s, bool all);
/* Of all that was asked so far. */
struct openai_counts {
	uint64_t requests, refused, answers;
	uint64_t prompt_tokens, cached_tokens, new_tokens, guessed, accepted;
};
struct openai_counts openai_counted(struct openai *s);
void openai_counts_add(struct openai_counts *sum, const struct openai_counts *more);

#endif
