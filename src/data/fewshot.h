/* fewshot: what stands before a row so that a model learns from its context: an instruction and examples, rows with
 * their answers. A row becomes a row that asks with all of it, and everything else (documents, scores, answers) takes
 * it as any other.
 *
 * As text (lm-eval's order and delimiters):
 *
 *     instruction "\n\n"  question " " answer "\n\n"  …  question
 *
 * and where a chat template writes the row, as turns: the instruction is the system's, after what the row's own
 * system's turn says, each example a user's and an assistant's (lm-eval's --fewshot_as_multiturn). The empty line after
 * the instruction is left out where it ends with white space, the space before an answer that is a completion where
 * there is white space already. A choice has the space always, as when it is scored.
 *
 *     select   first        in the order of the file
 *              random       drawn once for all rows: random.Random(seed).sample of Python, what lm-eval draws first
 *              random-each  drawn for each row, in the rows' order: lm-eval's draws
 *              bm25         for each row those whose questions have its words (retrieve/bm25.h)
 *              embedding    for each row those whose vectors are nearest to its own, by their cosine
 *              diverse      for all rows: the one nearest to the mean of all vectors, then each time the one that is
 *                           farthest from those that were taken (Gonzalez 1985; without vectors by words)
 *              balanced     for all rows: in the order of random, a class after the other in turn
 *     order    given        as they were selected, the nearest first
 *              reverse
 *              similar-last the nearest to the row stands next to it (by vectors where there are some, else by words)
 *
 * A row is never its own example: one that asks the same is passed over, and the next in the order takes its place.
 * Nothing is cut here or later: where a context cannot hold it, making the documents says so. */
#ifndef DATA_FEWSHOT_H
#define DATA_FEWSHOT_H

#include <stdint.h>

#include "base/buf.h"
#include "data/rows.h"

enum fewshot_select {
	FEWSHOT_FIRST, FEWSHOT_RANDOM, FEWSHOT_RANDOM_EACH, FEWSHOT_BM25, FEWSHOT_EMBEDDING, FEWSHOT_DIVERSE,
	FEWSHOT_BALANCED
};
enum fewshot_order { FEWSHOT_GIVEN, FEWSHOT_REVERSE, FEWSHOT_SIMILAR_LAST };
#define FEWSHOT_SELECTS "first|random|random-each|bm25|embedding|diverse|balanced"
#define FEWSHOT_ORDERS "given|reverse|similar-last"
/* Of these names; −1: none. */
int fewshot_select_of(const char *name);
int fewshot_order_of(const char *name);
/* In how many orders so many examples can stand, a million at most; by how near they are in one. */
size_t fewshot_orders(size_t num, enum fewshot_order order);

/* Makes vectors of texts. */
struct fewshot_embedder {
	size_t width;
	/* out: [n][width], each of length 1 */
	int (*embed)(void *ctx, const char *const *texts, size_t n, float *out, struct err *e);
	void *ctx;
};

struct fewshot_options {
	const char *instruction;        /* UTF-8, or NULL */
	size_t num;                     /* examples a row */
	enum fewshot_select select;
	enum fewshot_order order;
	uint64_t seed;
	uint64_t shuffle;               /* 0, or which other order of the examples: below fewshot_orders */
	const char *delimiter;          /* after an example as text; NULL: "\n\n" */
	const char *target_delimiter;   /* before its answer; NULL: as above */
	bool chat;                      /* a template writes texts too, as the user's turns */
	bool template_;                 /* there is one, for rows that want it where it is there */
	bool asks;                      /* rows are to be answered: an answer that they have is left out */
	/* embedding; diverse and similar-last use it where it is there; or NULL */
	const struct fewshot_embedder *embedder;
};

struct fewshot;

/* examples (NULL where num is 0) and all of the options are borrowed. Examples without an answer, fewer than num: a
 * sentence. */
int fewshot_new(struct fewshot **out, const struct rows *examples, const struct fewshot_options *o, struct err *e);
void fewshot_free(struct fewshot *f);

/* Rows with what stands before each, with file and line as they were; the caller releases them. Draws of random-each go
 * on from call to call. */
int fewshot_apply(struct fewshot *f, const struct rows *rows, struct rows *out, struct err *e);
/* The same of one row, new; s: its shape, or NULL: it has `prompt` or `messages` beside something unknown. */
json_t *fewshot_row(struct fewshot *f, const struct row *row, const struct shape *s, struct err *e);
/* What stands before a text, before turns: new. Without a row (NULL) what is the same for all rows, −1 and a sentence
 * where it is chosen for each. */
int fewshot_text(struct fewshot *f, const struct row *row, struct buf *out, struct err *e);
json_t *fewshot_turns(struct fewshot *f, const struct row *row, struct err *e);

/* Messages after such turns, new: the system's turns of both are one, the instruction at its end. */
json_t *fewshot_join(const struct fewshot *f, const json_t *before, const json_t *messages);

/* What stands before all rows as an artefact, {"format": 1, "text": …} or {"format": 1, "messages": […]}: whoever
 * loads it uses exactly these bytes. New; NULL and a sentence where examples are chosen for each row. */
json_t *fewshot_save(struct fewshot *f, struct err *e);
int fewshot_load(struct fewshot **out, const json_t *saved, const struct fewshot_options *o, struct err *e);

/* Do all rows have the same examples, but for those that are among them? */
bool fewshot_is_fixed(const struct fewshot *f);
size_t fewshot_num(const struct fewshot *f);

#endif
