/* sources: documents of an index before what is asked (retrieval-augmented generation): of each row, or prompt, the
 * chunks that its question finds, numbered, in a template's place. What is retrieved is data: where a special token's
 * text stands in it, a zero-width space parts it, so that it cannot end a turn or open another. */
#ifndef CMD_INDEX_SOURCES_H
#define CMD_INDEX_SOURCES_H

#include "base/opt.h"
#include "cmd/index/index_embed.h"
#include "data/rows.h"
#include "retrieve/index.h"

struct sources_options {
	const char *documents, *retriever, *template_;
	int64_t num;
	bool citations;                /* of generate and chat (citations.h) */
	double citation_threshold;
};

#define SOURCES_GROUP "Documents"
#define SOURCES_NUM "4"
enum { SOURCES_MOST = 1000 };
#define SOURCES_TEMPLATE \
	"Answer the question from these sources, and name those that you used by their numbers, as [1].\n\n" \
	"{documents}\n\n{question}"
#define SOURCES_OPTS(s, f) \
	OPT_GROUP(SOURCES_GROUP), \
		OPT_STRING("documents", s, f.documents, NULL, "docs.db", \
	                   "an index (kungfu index build): what it finds stands before what is asked, numbered"), \
		OPT_INT("num-documents", s, f.num, SOURCES_NUM, 1, SOURCES_MOST, "so many chunks"), \
		OPT_CHOICE("retriever", s, f.retriever, "auto", "auto|bm25|dense|hybrid", \
	                   "words, vectors, or both (auto: both where the index has vectors)"), \
		OPT_STRING("documents-template", s, f.template_, NULL, "TEXT", \
	                   "how they stand, with {documents} and {question} in it; @FILE: the file's bytes")

struct sources {
	const struct sources_options *o;
	struct app *app;
	const struct tokenizer *tokenizer;
	struct index *index;
	struct index_embedder embedder;
	enum retriever retriever;
	char *form;                    /* the template */
	size_t num;                    /* chunks a question; options' */
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

static inline bool sources_wanted(const struct sources_options *o) { return o->documents != NULL; }
/* As `kungfu adapt` left it: {index, num, retriever, template}, which stays. */
void sources_of_artefact(struct sources_options *o, const json_t *documents);
/* What cannot be meant together, as a sentence, or NULL. */
const char *sources_contradiction(const struct sources_options *o);
/* tokenizer: of the model that is asked; borrowed. sources_close in any case. */
int sources_open(struct sources *s, const struct sources_options *o, struct app *app,
                 const struct tokenizer *tokenizer, struct err *e);
/* The same for who stays: what is committed to the index meanwhile is seen by the next question of sources_messages,
 * which tells sources with their texts. */
int sources_open_watched(struct sources *s, const struct sources_options *o, struct app *app,
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
