/* sources: documents of an index before what is asked (retrieval-augmented generation): of each row, or prompt, the
 * chunks that its question finds, numbered, in a template's place. What is retrieved is data: where a special token's
 * text stands in it, a zero-width space parts it, so that it cannot end a turn or open another. */
#ifndef INFER_SOURCES_H
#define INFER_SOURCES_H

#include "data/rows.h"
#include "infer/index_embed.h"
#include "retrieve/index.h"

enum { SOURCES_MOST = 1000 };
#define SOURCES_TEMPLATE \
	"Answer the question from these sources, and name those that you used by their numbers, as [1].\n\n" \
	"{documents}\n\n{question}"

struct sources {
	char *path;                    /* of the index */
	struct pool *pool;
	const struct tokenizer *tokenizer;
	struct index *index;
	struct index_embedder embedder;
	enum retriever retriever;
	char *form;                    /* the template */
	size_t num;                    /* chunks a question */
	bool watched;                  /* the index is */
	bool texts;                    /* what was found is told with its number, title, source and text */
	struct index_hit *hits;        /* [MAX(num, SOURCES_MOST)] of the last question */
	size_t n_hits;
	double seconds;                /* of retrieving */
	size_t asked, guarded;         /* questions; special tokens that were parted */
	struct kept_hits { struct index_hit *hits; size_t n; } *kept;  /* [n_kept] of each row of sources_rows */
	size_t n_kept;
	bool again;                    /* those of a row once more, but for the one numbered: */
	size_t but;
};

/* How documents are found and stand, as options or an artefact of `kungfu adapt` say it. */
struct sources_how {
	const char *index, *retriever; /* the retriever's name, or "auto" */
	const char *form;              /* the template; NULL: SOURCES_TEMPLATE */
	size_t num;
	/* What is committed to the index meanwhile is seen by the next question of sources_messages; sources are told
	 * with their texts. */
	bool watched;
};
/* As an artefact has it: {index, num, retriever, template}, which stays. */
void sources_how_of(struct sources_how *how, const json_t *documents);
/* By the pool, which stays, as the tokenizer does, that of the model that is asked. Where s->retriever is not BM25 the
 * caller then gives s->embedder. sources_close in any case. */
int sources_begin(struct sources *s, const struct sources_how *how, struct pool *pool,
                  const struct tokenizer *tokenizer, struct err *e);
/* Messages with what the last user's turn finds (num chunks) in that turn; made and found: new. 1: there is no turn of
 * a user's that is a text. −1: the index cannot be read now. */
int sources_messages(struct sources *s, const json_t *messages, size_t num, json_t **made, json_t **found,
                     struct err *e);
/* The rows with what each one's question finds; *found (or NULL) gets a list a row: [{id, score}]. out is new, and is
 * released by rows_release; its rows are of the files of `rows`, which stays. */
int sources_rows(struct sources *s, const struct rows *rows, struct rows *out, json_t **found, struct err *e);
/* One of these rows once more, without one of its sources, whose numbers stay: which, of sources_kept. made: new. */
size_t sources_kept(const struct sources *s, size_t row);
int sources_row_without(struct sources *s, const struct row *r, size_t row, size_t which, json_t **made, struct err *e);
/* The same of a text. found: new, a list. */
int sources_text(struct sources *s, const char *text, size_t n, struct buf *out, json_t **found, struct err *e);
/* The same again without one of those that were found, whose numbers stay: which of them, from 0. */
int sources_text_without(struct sources *s, const char *text, size_t n, size_t which, struct buf *out, struct err *e);
/* For eyes: what each number is, a line each. */
void sources_show(const json_t *found);
void sources_close(struct sources *s);

#endif
