/* handles: what the opaque handles are, for the files of src/api. */
#ifndef API_HANDLES_H
#define API_HANDLES_H

#include <pthread.h>

#include "adapt/adapter.h"
#include "api/call.h"
#include "data/document.h"
#include "data/fewshot.h"
#include "infer/scorer.h"
#include "infer/sources.h"

struct kf_model {
	struct handle handle;
	struct model model;
	struct template *chat;        /* NULL: it has none */
	struct err no_text;           /* why model.tokenizer is NULL */
	struct adapter own;           /* of what `kungfu adapt` left: in use where no other is */
	bool has_own;
	json_t *before;               /* what it puts before what is asked (data/fewshot.h); NULL: nothing */
	bool texts;                   /* it was measured on texts that no chat template writes */
	struct found *found;          /* its documents (api_placed.c), or NULL */
};

struct kf_adapter {
	struct handle handle;
	struct kf_model *model;       /* shared */
	struct adapter adapter;
};

struct kf_evaluator {
	struct handle handle;
	struct kf_model *model;       /* shared */
	struct kf_adapter *adapter;   /* shared, or NULL */
	const struct overlay *overlay;
	struct kf_evaluator_options options;
	struct pool *pool;
	struct device device;
	struct scorer *scorer;        /* for documents of up to `longest` tokens */
	int32_t longest;
};

/* How far a call of it is, told the caller; whether it is to stop. */
int evaluator_progress(const struct kf_evaluator *v, struct call *c, int64_t done, int64_t total);
/* The adapter of a model, both as they came from the caller; refuses what is neither NULL nor of this model. -1 and the
 * sentence through *why. */
int adapter_of(const struct kf_adapter *a, const struct kf_model *m, const struct overlay **out, const char **why);
/* 0, or −1 with the sentence why the model has no text. */
int model_text(const struct kf_model *m, struct err *e);
struct text_codec model_codec(const struct kf_model *m);
/* What stands before rows, or, asks, before what is to be answered; m has some. templated: a template writes texts. */
int model_before(const struct kf_model *m, bool templated, bool asks, struct fewshot **out, struct err *e);

/* --- what `kungfu adapt` left puts before what is asked (api_placed.c) --- */

/* documents: as its artefact has them. NULL: they cannot be opened. */
struct found *found_open(const json_t *documents, const struct tokenizer *t, struct err *e);
/* By one thread at a time; the others wait. */
int found_text(struct found *f, const char *text, size_t n, struct buf *out, struct err *e);
/* Into the last user's turn of *messages, which is replaced; as they are where there is none that is a text. */
int found_messages(struct found *f, json_t **messages, struct err *e);
void found_close(struct found *f);

struct placed_rows {
	const struct rows *rows;      /* as they are asked */
	struct rows found, made;      /* with documents; with the prompt */
};
/* templated: a template writes rows that are texts. placed_rows_release in any case. */
int placed_rows_make(struct placed_rows *p, const struct kf_model *m, bool templated, const struct rows *rows,
                     struct err *e);
void placed_rows_release(struct placed_rows *p);

/* As the caller sees it; learn and ids stay where they are. */
struct kf_document document_shown(const struct document *d);

#endif
