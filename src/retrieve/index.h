/* index: documents that are searched: a SQLite file with documents, their chunks and what is committed, beside it files
 * that are read where they lie:
 *
 *     docs.db             meta, document (id, hash, title, source, fields), chunk (document, place, text)
 *     docs.db.words-G     segments of postings (postings.h), one a commit
 *     docs.db.vectors-G   vectors of all chunks (vectors.h), where the index has an embedder
 *     docs.db.ivf-N       lists of them (ivf.h), where they are many, or where lists were asked for
 *
 * A chunk's number is its place in both files. Files grow at their end and are synced before the transaction that
 * counts their new bytes, so after a crash at any moment the index is what the last commit said; what lies behind is
 * written over. A document that is removed or replaced leaves chunks that are dead; where many are, or segments are
 * many, all is written anew under the next G (a transaction that ends with the new one), and the old files go. Lists
 * are made when the index is tidied, under the next N, of all chunks there are; those that come later are looked at
 * all, until they are a fifth and all are put into lists again.
 *
 * The same document (id and hash) twice is stored once, another hash under an id replaces it. One process writes; any
 * number read, each what was committed when it opened. */
#ifndef RETRIEVE_INDEX_H
#define RETRIEVE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "retrieve/vectors.h"

#define INDEX_BM25 "lucene, k1 1.5, b 0.75"

enum { INDEX_IVF_AUTO = -1 };

struct index_settings {
	int chunk_tokens, overlap;     /* chunk_tokens 0: a document is one chunk */
	const char *embedder;          /* its path, NULL: BM25 alone */
	const char *embedder_hash;     /* of its weights; a query's vector must be of the same */
	int width;                     /* numbers of a vector */
	enum vectors_kind vectors;     /* how they are kept */
	int ivf_lists;                 /* 0: none, INDEX_IVF_AUTO: many beyond IVF_ROWS (ivf.h) */
};

struct index_chunk { const char *text; size_t n; const float *vector; /* of length 1, or NULL */ };

struct index_document {
	const char *id, *hash;         /* hash of all that it says */
	const char *title, *source;    /* or NULL */
	const char *fields;            /* an object as JSON, which filters look at, or NULL */
	const struct index_chunk *chunks;
	size_t n_chunks;
};

struct index_counts {
	size_t documents, chunks, dead, segments;
	double words;
	size_t bytes;
	size_t in_lists, lists, probes; /* chunks in lists, how many, and how many a search looks at; 0: none are */
	double recall;                  /* of these, as measured (ivf.h) */
};

struct index;

int index_is_there(const char *path, struct err *e);       /* −1 and a sentence: a file is there */
/* A new one, empty; a file that is there is an error. */
int index_create(const char *path, const struct index_settings *s, struct err *e);
/* Of one that was created, is closed, and has got no document: its files go. */
void index_discard(const char *path);
int index_open(struct index **out, const char *path, bool write, struct err *e);
/* To read, by who stays: index_changed says whether something was committed since, or another file is there now. */
int index_open_watched(struct index **out, const char *path, struct err *e);
bool index_changed(const struct index *x);
void index_close(struct index *x);
const struct index_settings *index_settings(const struct index *x);
void index_count(const struct index *x, struct index_counts *c);

/* --- changing, by who opened it to write --- */

enum index_known { INDEX_NEW, INDEX_SAME, INDEX_OTHER };    /* not there; there with this hash; with another */
int index_knows(struct index *x, const char *id, const char *hash, enum index_known *known, struct err *e);
/* They count once index_commit says so. 1: it is there with this hash, nothing was done. */
int index_add(struct index *x, const struct index_document *d, struct err *e);
int index_remove(struct index *x, const char *id, bool *there, struct err *e);
size_t index_waiting(const struct index *x);                /* bytes of text that the next commit brings */
int index_commit(struct index *x, struct err *e);
/* Writes all anew where that pays, and makes lists of vectors where they are wanted. */
int index_tidy(struct index *x, struct pool *pool, struct err *e);

/* --- searching --- */

enum retriever { RETRIEVER_BM25, RETRIEVER_DENSE, RETRIEVER_HYBRID, RETRIEVERS };
extern const char *const retriever_names[RETRIEVERS];
/* What --retriever asks for: auto is hybrid where there are vectors. −1: there are none. */
int retriever_of(const char *name, const struct index *x, enum retriever *out, struct err *e);

struct index_query {
	const char *text;              /* its words, for BM25 */
	size_t n;
	const float *vector;           /* of length 1, for the others */
	enum retriever retriever;
	size_t top_k;
	bool exact;                    /* all vectors are looked at, lists or not; with `allowed` they are always */
	const uint8_t *allowed;        /* [chunks, dead ones too] 1: may be found; NULL: all */
	/* MMR (Carbonell & Goldstein 1998): of the best candidates the next is the one with the largest λ·relevance −
	 * (1 − λ)·the largest likeness to one that is taken; 1: as they come. Wants vectors. */
	double mmr;
};

enum { RRF_K = 60, CANDIDATES = 100 };  /* hybrid: Σ 1/(60 + rank) over both lists of so many, or top_k if more */

struct index_hit { uint32_t chunk; double score; };

/* hits: room for top_k; returns how many. A chunk without a word of the query is no hit of BM25. */
size_t index_search(struct index *x, const struct index_query *q, struct pool *pool, struct index_hit *hits);
size_t index_places(const struct index *x);                 /* chunks, dead ones too */
/* Chunks of documents whose field is this: allowed[index_places]. */
int index_filter(struct index *x, const char *field, const char *value, uint8_t *allowed, struct err *e);

struct index_text { const char *id, *title, *source, *text; int place, of; };
/* In mem. place: which chunk of the document's `of`. */
int index_fetch(struct index *x, uint32_t chunk, struct arena *mem, struct index_text *t, struct err *e);
/* Every document in the order of their numbers: `see` may end it by other than 0. */
int index_each(struct index *x, int (*see)(void *ctx, const char *id, const char *title, const char *source,
                                           int chunks),
               void *ctx, struct err *e);

#endif
