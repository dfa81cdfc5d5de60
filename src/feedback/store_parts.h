/* store_parts: what the files store*.c share; nobody else includes it. */
#ifndef FEEDBACK_STORE_PARTS_H
#define FEEDBACK_STORE_PARTS_H

#include <sqlite3.h>

#include "feedback/store.h"

enum { STATEMENTS = 24 };              /* that are kept prepared, by where their text lies */

struct feedback {
	sqlite3 *db;
	struct { const char *sql; sqlite3_stmt *s; } kept[STATEMENTS];
	int n_kept;
	char *path;
	struct arena mem;
	struct feedback_study study;
	int depth;                     /* of feedback_begin: the outermost is the transaction */
	int lock;                      /* of the one that serves, or −1 */
	char *lock_path;
};

int store_error(const struct feedback *f, const char *what, struct err *e);   /* with SQLite's reason; −1 */
int store_exec(const struct feedback *f, const char *sql, struct err *e);
/* sql: a constant of the program. Given back by one of the three below. NULL: it cannot be read. */
sqlite3_stmt *store_prepare(struct feedback *f, const char *sql, struct err *e);
void store_release(const struct feedback *f, sqlite3_stmt *s);
/* Runs a statement without rows, and gives it back. */
int store_finish(const struct feedback *f, sqlite3_stmt *s, struct err *e);
/* The next row: true. At the end, or where it cannot be read, false, given back, *status says which. */
bool store_next(const struct feedback *f, sqlite3_stmt *s, int *status, struct err *e);
void store_bind(sqlite3_stmt *s, int at, const char *text);                   /* NULL: null; borrowed */
void store_bind_number(sqlite3_stmt *s, int at, double x);                    /* NAN: null */
const char *store_text(sqlite3_stmt *s, int at, struct arena *mem);           /* NULL: null */
/* A list in mem of n of *cap items, with room for one more. */
void *store_room(struct arena *mem, void *list, size_t n, size_t *cap, size_t size);
/* Strings as a JSON list; NULL in it: null. */
char *store_list(const char *const *texts, size_t n);                         /* mem_free */
/* Of a column that such a list is in: up to `room` into out, strings in mem; −1: it is none. */
int store_take_list(sqlite3_stmt *s, int at, struct arena *mem, const char **out, size_t room);
/* Small numbers as a JSON list, and back: what is not there is `otherwise`. */
char *store_places(const int8_t *x, size_t n);                                /* mem_free */
void store_take_places(sqlite3_stmt *s, int at, int8_t out[FEEDBACK_ANSWERS], int8_t otherwise);
int store_no_item(const struct feedback *f, int64_t id, struct err *e);       /* −1 */
/* The name of a rater; NULL and a sentence. */
const char *store_rater_name(struct feedback *f, int64_t id, struct arena *mem, struct err *e);

#endif
