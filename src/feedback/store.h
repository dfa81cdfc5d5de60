/* store: what people said of answers: one SQLite file (WAL), written by the server, the commands and nobody else.
 *
 *     study       what is asked (one row): the question, how many answers, classes, words for the raters
 *     rater       a name (a pseudonym), a role, the hash of the token that lets in
 *     item        a prompt and its answers: these bytes have a hash, the version, which every label names
 *     shown       what a rater was shown: the item, the order of its answers; a repeat is a second showing
 *     label       what was said, once: its key is made by who labels (a UUID), so sent twice it is stored once
 *
 * A label is committed, synced, before anybody is told that it is saved. It is never changed: undo withdraws it, and a
 * withdrawn one is out of every list that is not asked for it. Indices of answers are those of the item, however they
 * were shown. Several processes may read and write at once; only one serves (feedback_lock). */
#ifndef FEEDBACK_STORE_H
#define FEEDBACK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum feedback_ask { ASK_COMPARE, ASK_RANK, ASK_RATE, ASK_CORRECT, ASK_LABEL, ASK_KINDS };
extern const char *const feedback_ask_names[ASK_KINDS]; /* "compare" … */

enum { FEEDBACK_ANSWERS = 8 };          /* of an item, at most */
enum { FEEDBACK_NONE = -1 };            /* no index, no number */

struct feedback_study {
	enum feedback_ask ask;
	int n_answers;                  /* that the page shows of an item; 1: single answers */
	const char *instructions;       /* to the raters, or NULL */
	const char *const *labels;      /* classes of ASK_LABEL, until NULL; or NULL */
	int scale;                      /* ASK_RATE: 1 … scale; 5 */
	double gold_share, repeat_share; /* of what a rater is shown; 0.05, 0.05 */
	int labels_per_item;            /* wanted; 1 */
	double wage;                    /* money an hour of a rater, 0: not said */
	const char *model, *model_hash; /* that wrote answers, or NULL */
};

struct feedback_item {
	int64_t id;                     /* of the file, from 1 */
	const char *key;                /* what others call it; else the hash of prompt and answers */
	const char *version;            /* hash of prompt, answers and, where all are named, models, 32 hex */
	const char *prompt;             /* JSON: a string, or a list of messages */
	int n;
	const char *answers[FEEDBACK_ANSWERS];
	const char *models[FEEDBACK_ANSWERS]; /* who wrote it, or NULL */
	const char *extra;              /* JSON: the row's other columns, or NULL */
	int gold;                       /* the right winner of a gold item, or FEEDBACK_NONE */
};

/* What one rater said of one item. */
struct feedback_label {
	int64_t id;                     /* in the order in which they were saved */
	const char *key;                /* unique */
	int64_t item, rater;            /* ids */
	const char *version;            /* of the item as it was shown */
	int8_t shown[FEEDBACK_ANSWERS]; /* [n] the answer that stood at each place; −1 beyond, all −1: not known */
	int winner;                     /* an answer, or FEEDBACK_NONE */
	bool tie, both_bad, skipped;
	int strength;                   /* 0 not asked, 1 slightly, 2 clearly better */
	int8_t rank[FEEDBACK_ANSWERS];  /* [n] the place of each answer, from 1, equal ones share it; 0: not ranked */
	double rating[FEEDBACK_ANSWERS]; /* of each answer, NAN: none */
	const char *label;              /* a class, or NULL */
	int edited_answer;              /* that was corrected, or FEEDBACK_NONE */
	const char *edited;             /* what it became, or NULL */
	bool unsafe;
	const char *comment;            /* or NULL */
	double seconds;                 /* that it took, NAN: not known */
	int64_t repeat_of;              /* an earlier label of the same rater, or 0 */
	double time;                    /* when it was said, seconds since 1970 */
	bool withdrawn;
};

enum feedback_role { ROLE_RATER, ROLE_OWNER };

struct feedback_rater {
	int64_t id;
	const char *name;
	enum feedback_role role;
};

struct feedback;

/* --- the file: of one thread at a time --- */

/* A new one, with what the study says; a file that is there is an error. */
int feedback_create(const char *path, const struct feedback_study *s, struct err *e);
/* Takes a file that was made a moment ago away again, with what SQLite laid beside it; it is closed. */
void feedback_discard(const char *path);
int feedback_open(struct feedback **out, const char *path, bool write, struct err *e);
void feedback_close(struct feedback *f);
/* Is it a SQLite file? feedback_open says what of. Not of a file that this process has open: closing a descriptor drops
 * SQLite's locks. */
bool feedback_is(const char *path);
const struct feedback_study *feedback_study(const struct feedback *f);
/* Only one process serves a file: −1 names the other's process number. Ends with feedback_close; FILE.server lies
 * beside the file until then. */
int feedback_lock(struct feedback *f, struct err *e);
/* Several changes as one transaction; they nest. status: of what was done, < 0 takes all back. */
int feedback_begin(struct feedback *f, struct err *e);
int feedback_end(struct feedback *f, int status, struct err *e);

/* --- items --- */

/* id, key where it is NULL, and version are made. 1: the same key and version is there, *id is its; the same key with
 * other bytes is another version of it, a new item. Equal or empty answers are kept: people judged such ones elsewhere
 * (import: Tulu's 1,150 rows have 40 equal pairs, PandaLM's 54 empty answers), and what is learnt leaves them out;
 * `feedback new` refuses them with a sentence. An import names the models where its rows do (columns models, or
 * model_a and model_b): agreement and standings need them. */
int feedback_version(const struct feedback_item *it, char hex[33], struct err *e);
int feedback_add_item(struct feedback *f, const struct feedback_item *it, int64_t *id, struct err *e);
/* All, in the order of their ids, in mem. */
int feedback_items(struct feedback *f, struct arena *mem, struct feedback_item **out, size_t *n, struct err *e);
/* One; −1 where it is not there. */
int feedback_item(struct feedback *f, int64_t id, struct arena *mem, struct feedback_item *out, struct err *e);

/* --- states: what a frozen model made of each answer, for heads.h --- */

struct feedback_states {
	const float *const *of;         /* [n_items] [answers of the item][width]; NULL: not there */
	size_t width;                   /* 0: none are there */
};

/* x: [answers of the item][width]. model: hash of what computed them. */
int feedback_set_states(struct feedback *f, const struct feedback_item *it, const char *model, const float *x,
                        size_t width, struct err *e);
/* Those of the model that computed most of them, of items as feedback_items gives them, in mem; *model: its hash, NULL
 * of none. */
int feedback_states(struct feedback *f, struct arena *mem, const struct feedback_item *items, size_t n,
                    struct feedback_states *out, const char **model, struct err *e);

/* --- labels --- */

/* 0: saved and synced; 1: this key is there, or the same label by import (key NULL: made of all that it says, the
 * item's version and the rater's name). time 0: now; version NULL: the item's; another one: −1. The rater's open
 * showing of the item is answered by it. */
int feedback_add_label(struct feedback *f, const struct feedback_label *l, struct err *e);
/* Withdraws the rater's label of this key, NULL: the last; 1: there is none. Its showing is the rater's last open one
 * again. */
int feedback_withdraw(struct feedback *f, int64_t rater, const char *key, struct err *e);
/* All that stand, of the current versions and of earlier ones, in the order of their ids, in mem. */
int feedback_labels(struct feedback *f, struct arena *mem, struct feedback_label **out, size_t *n, struct err *e);
/* What stands; raters: that have said something. */
int feedback_count(struct feedback *f, size_t *items, size_t *labels, size_t *raters, struct err *e);

/* --- raters --- */

/* By name: the one that is there, or a new one, ROLE_RATER. */
int feedback_rater(struct feedback *f, const char *name, int64_t *id, struct err *e);
int feedback_raters(struct feedback *f, struct arena *mem, struct feedback_rater **out, size_t *n, struct err *e);
/* Lets `name` in: a token of 128 random bits is made, its hash is kept. token: [33]. */
int feedback_invite(struct feedback *f, const char *name, enum feedback_role role, char *token, struct err *e);
/* Who has this token: compared in constant time; 1: nobody. */
int feedback_admit(struct feedback *f, const char *token, struct feedback_rater *out, struct arena *mem, struct err *e);

/* --- showings --- */

/* The rater is shown this item, in this order; a showing that was not answered is found again after a reload. */
int feedback_show(struct feedback *f, int64_t rater, int64_t item, const int8_t order[FEEDBACK_ANSWERS],
                  int64_t repeat_of, struct err *e);
/* The rater's last showing without a label: 1: there is none. */
int feedback_shown(struct feedback *f, int64_t rater, int64_t *item, int8_t order[FEEDBACK_ANSWERS],
                   int64_t *repeat_of, struct err *e);

#endif
