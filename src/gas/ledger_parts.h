/* ledger_parts: what the files of the ledger share. */
#ifndef GAS_LEDGER_PARTS_H
#define GAS_LEDGER_PARTS_H

#include <sqlite3.h>
#include <stdint.h>

#include "gas/ledger.h"

struct ledger {
	sqlite3 *db;
	char *path;
	bool writable;
	int depth;                     /* of ledger_begin: the outermost is the transaction */
	uint64_t device, inode;        /* of the file that was opened; 0: not looked at */
};

/* This machine and this process, as entries have them; NULL where the system does not tell. */
const char *this_machine(struct arena *a);
const char *this_boot(struct arena *a);
const char *this_pid_space(struct arena *a);
int64_t process_start(int64_t pid);            /* ticks since boot, −1: there is no such process */

/* "ledger FILE: what: SQLite's reason"; −1 */
int ledger_error(const struct ledger *l, const char *what, struct err *e);
sqlite3_stmt *ledger_prepare(const struct ledger *l, const char *sql, struct err *e);
/* runs a statement without rows, and finalizes it */
int ledger_finish(const struct ledger *l, sqlite3_stmt *s, struct err *e);
/* borrowed until finalized; NULL: null */
void bind_text(sqlite3_stmt *s, int at, const char *text);
void bind_count(sqlite3_stmt *s, int at, int64_t n);                            /* −1: null */
const char *column_text(sqlite3_stmt *s, int at, struct arena *a);              /* NULL: null */
int64_t column_count(sqlite3_stmt *s, int at);                                  /* −1: null */
int ledger_begin(struct ledger *l, struct err *e); /* a transaction that may write, or a part of the one that is open */
/* commits when status is 0, else undoes; returns −1 unless committed */
int ledger_end(struct ledger *l, int status, struct err *e);

/* ledger_served.c: what the run served, into x. */
int ledger_read_served(const struct ledger *l, struct entry *x, struct arena *a, struct err *e);

#endif
