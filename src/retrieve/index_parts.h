/* index_parts: what the files index*.c share; nobody else includes it. */
#ifndef RETRIEVE_INDEX_PARTS_H
#define RETRIEVE_INDEX_PARTS_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "base/io.h"
#include "retrieve/index.h"
#include "retrieve/ivf.h"
#include "retrieve/postings.h"

struct index {
	sqlite3 *db;
	char *path;
	bool writable;
	/* of one that is watched: a connection that reads what is committed now, its data_version when this one was
	 * opened, and which file that was */
	sqlite3 *watch;
	int64_t version;
	struct stat file;
	struct arena mem;
	struct index_settings settings;
	/* as the transaction that it reads has them: */
	int64_t generation, places, words_bytes, segments, ivf;
	/* to search: */
	const struct kernels *kernels;
	struct mapping words, vectors, lists;
	struct ivf near;
	uint32_t *candidate;           /* [near.head.rows] */
	struct postings *segment;      /* [n_segments], and the number of each one's first chunk */
	uint32_t *first;
	size_t n_segments, live;
	uint8_t *dead;                 /* [places] */
	float *norm;                   /* [places] bm25_norm of each */
	float *score;                  /* [places] of the query at hand */
	double total;                  /* words of all that live */
	/* to write: */
	bool open;                     /* a transaction is */
	struct postings_maker *maker;
	float *pending;                /* [n_pending][width] */
	size_t n_pending, cap_pending, waiting;
};

int index_error(const struct index *x, const char *what, struct err *e);    /* with SQLite's reason; −1 */
int index_exec(struct index *x, const char *sql, struct err *e);
sqlite3_stmt *index_prepare(struct index *x, const char *sql, struct err *e);
int index_finish(struct index *x, sqlite3_stmt *s, struct err *e);          /* one without rows, and finalizes it */
int index_put_number(struct index *x, const char *key, int64_t value, struct err *e);
char *index_file(const struct index *x, const char *what, int64_t generation);  /* docs.db.words-3; mem_free */
struct vectors_form index_form(const struct index *x);
int index_read_dead(struct index *x, uint8_t *dead, struct err *e);   /* [places] 1: it belongs to nothing */
int index_read_meta(struct index *x, struct err *e);

#endif
