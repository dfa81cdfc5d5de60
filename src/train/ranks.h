/* ranks: the processes that train one model together, as one of them sees them: its number, how many there are, and
 * messages between two of them. Who carries messages is a row (src/mpi under mpirun; test/unit/fixture_ranks between
 * threads); what is sent when is the trainer's (trainer_ranks.c).
 *
 * Rank 0 leads: it reads the recipe, prints, keeps the run's folder, and says what comes next by an order; the others
 * follow (trainer_follow). A message is between two ranks under a tag; those of one pair and one tag arrive in the
 * order in which they were begun, and both ends know their length.
 *
 * Nothing here allocates after ranks_init. One thread of a process uses it. */
#ifndef TRAIN_RANKS_H
#define TRAIN_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ranks;

/* A message that is under way. Its memory and its data belong to the caller, and stay until it has been waited for. */
struct rank_transfer {
	int peer, tag;
	bool receives;
	void *data;
	size_t bytes;
	/* the carrier's */
	struct rank_transfer *next;
	void *own[4];
	int left;                      /* parts of it that are under way; 0: it is over */
};

struct ranks_row {
	const char *name;
	void (*begin)(struct ranks *r, struct rank_transfer *x);
	/* Until it is over. −1: it never will be, and neither will any other; the sentence names the rank. */
	int (*wait)(struct ranks *r, struct rank_transfer *x, struct err *e);
	/* failed: this process has given up, and the others are to end with it. */
	void (*close)(struct ranks *r, bool failed);
};

enum { RANKS_TEXT = 2032 };

/* What rank 0 says to the others. */
enum ranks_what { RANKS_END, RANKS_RUN, RANKS_VERDICT, RANKS_STEP, RANKS_SAVE, RANKS_LOAD, RANKS_SHOW, RANKS_HIDE,
                  RANKS_TELL, RANKS_LEND };
struct ranks_order {
	int64_t what, number;          /* number: of the step; a status; of bytes that follow (ranks_text);
	                                * of a parameter (trainer_zero3.c) */
	char text[RANKS_TEXT];         /* a path, or a sentence */
};

struct ranks {
	const struct ranks_row *row;
	int rank, size;
	double timeout;                /* seconds of silence after which a rank counts as gone */
	double sent, received;         /* bytes, by this process so far */
	double waited;                 /* seconds in which it did nothing else */
	void *own;                     /* the carrier's */
	struct rank_transfer *spare;   /* [2 · size] for what is waited for at once */
	struct ranks_order order, answer;
	bool over, failed;             /* rank 0 has ended it; messages have failed */
	void (*tells)(char out[RANKS_TEXT]); /* what this process tells when asked (ranks_ask), or NULL: nothing */
};

enum { RANKS_TAG_ORDER, RANKS_TAG_ANSWER, RANKS_TAG_LEAVES, RANKS_TAG_NORM, RANKS_TAG_WEIGHTS, RANKS_TAG_DRAWN,
       RANKS_TAG_GRADIENT };

/* Of a process that is alone NULL is said, and of one that has a size of 1: */
static inline bool ranks_several(const struct ranks *r) { return r && r->size > 1; }
static inline bool ranks_follows(const struct ranks *r) { return r && r->rank > 0; }

/* Once row, rank, size and own are there; row may become another's who stands between. */
void ranks_init(struct ranks *r);
/* Ends the conversation (rank 0 tells the others, who wait for that) and closes the row. failed: of another than rank
 * 0, it cannot wait, and all are ended. NULL is fine. */
void ranks_close(struct ranks *r, bool failed);

void ranks_begin(struct ranks *r, struct rank_transfer *x, bool receives, int peer, int tag, void *data,
                 size_t bytes);
int ranks_wait(struct ranks *r, struct rank_transfer *x, struct err *e);
/* Every rank has all of `data` afterwards: rank k had bytes at[k] … at[k + 1] − 1 of it. */
int ranks_gather(struct ranks *r, int tag, void *data, const size_t *at, struct err *e);

/* Rank 0 to all others; the next order, which lies in r->order. −1: messages have failed, or, where another than the
 * end is wanted (ranks_agree), rank 0 has ended. */
int ranks_order(struct ranks *r, enum ranks_what what, int64_t number, const char *text, struct err *e);
int ranks_next(struct ranks *r, struct err *e);
/* An order and a text of any length with it, which another rank's *text is then (mem_free; of rank 0 what is said). */
int ranks_text(struct ranks *r, enum ranks_what what, char **text, struct err *e);
/* The same of another rank that has seen the order already, by ranks_next. */
int ranks_text_next(struct ranks *r, char **text, struct err *e);
/* All ranks come here, each with its status and, where that is below 0, the sentence in e. All leave with 0, or with
 * −1 and the first sentence, "rank 2: …" in front. said: what each brings for rank 0, who gets that of rank k in
 * said[k]; of the others said[0] is theirs; or NULL. */
int ranks_agree(struct ranks *r, int status, char (*said)[RANKS_TEXT], struct err *e);
/* Of rank 0, between two orders: what each of the others tells, in said[1 …] (of size). */
int ranks_ask(struct ranks *r, char (*said)[RANKS_TEXT], struct err *e);
/* The answer, of the others. */
int ranks_tell(struct ranks *r, struct err *e);

#endif
