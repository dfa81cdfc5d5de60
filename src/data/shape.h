/* shape: what a row may look like, and what it becomes. One file shape_x.c a row of the table.
 *
 * A shape is a set of columns that must be there with the right type, and of some that are read where they are there; a
 * conversation takes some beside its messages (data/conversation.h). Others are named once (data/columns.h). Of
 * several that fit, a row has the one with the most columns; of equals one that teaches before one that only asks,
 * then the one whose file comes first by its name.
 *
 * A row becomes documents. They stand alone (an answer, the pieces of a long text), or they have roles and are a
 * group, which neither the shuffle nor the packer parts: chosen and rejected, say. Which roles there are and in which
 * order they come is all that an objective asks of a shape (train/objective.h). */
#ifndef DATA_SHAPE_H
#define DATA_SHAPE_H

#include "base/buf.h"
#include "data/rows.h"

struct maker;

enum need {
	NEED_STRING,
	NEED_LIST,
	NEED_TEXT,            /* a string, or a list of messages */
	NEED_LABEL,           /* true or false, or 1 or 0 */
	NEED_INDEX,           /* a whole number */
	NEED_CLASS,           /* the name of a class, a number, or a list of them */
	NEED_TURN,            /* a string, a message, or a list of messages */
	NEED_OBJECT,
	NEED_SCORED           /* a list of answers, each an object with its text and a score, rating or rank */
};

enum { SHAPE_COLUMNS = 6, SHAPE_ROLES = 4 };

/* How kungfu eval measures a model on such rows (eval/evaluate.h). */
enum judged { JUDGED_NOT, JUDGED_TEXTS, JUDGED_ANSWERS, JUDGED_CHOICES };

/* When making the documents takes the model's chat template. */
enum chat_use {
	CHAT_IF_LIST,           /* what is asked is a list of messages */
	CHAT_ALWAYS,
	CHAT_IF_APPLIED         /* --apply-chat-template was given */
};

struct shape {
	const char *name;                                   /* its columns: "prompt,completion" */
	const char *example;                                /* a row */
	struct { const char *key; enum need need; } columns[SHAPE_COLUMNS]; /* until one without a key */
	const char *const *more;                            /* columns that may be there, until NULL; or NULL */
	bool bare_tools;                                    /* tools are {name, parameters}, as LLaMA-Factory's */
	const char *with;                                   /* the column in which all the others are, or NULL */
	/* Names of the roles of a row's documents, until NULL; none: each stands alone. document.role is an index into
	 * them. */
	const char *roles[SHAPE_ROLES + 1];
	/* any number of answers to one prompt, each with a score, in one group (data/ranked.h) */
	bool ranked;
	bool labelled;                                      /* the column `label`: a class or a number */
	bool label_only;                                    /* without which it is nothing to learn from */
	bool asks_only;                                     /* a prompt: nothing of it is learnt as it is */
	enum judged judged;
	/* What types alone do not say, with file and line; NULL: nothing. */
	int (*check)(const struct row *r, struct err *e);
	/* Its documents (data/maker.h); the sentence needs no place. */
	int (*make)(struct maker *m, struct err *e);
	enum chat_use chat;
	/* What a model is asked for an answer to, a string or a list of messages: a column, or made (new; where both
	 * are there, of rows that have it elsewhere). Neither: such a row asks nothing. */
	const char *asks;
	json_t *(*ask)(const json_t *row, struct err *e);
	/* The right answer to it, a string or a list of messages: a column, or made (new). Neither: it has none, or
	 * what is asked is a conversation that ends with it. */
	const char *answers;
	json_t *(*answer)(const json_t *row);
};

extern const struct shape *const shape_table[];             /* generated, NULL-terminated */

const struct shape *shape_of(const json_t *row);            /* NULL when none fits */
/* A table's row, whose cells are texts: those of the best shape's columns that mean something else become that: a
 * number, true or false, a list or an object as JSON; messages as JSON where a text may stand. What is none stays a
 * text. */
void shape_take_cells(json_t *row);
const char *shape_name(const struct shape *s);              /* NULL: "no known shape" */
/* No shape fits: −1 and the sentence that says what is missing or of another type. */
int shape_refuse(const struct row *r, struct err *e);
bool shape_is_message(const json_t *v);                     /* an object with role and content, or from and value */
/* A question and its answer, choices or messages, under other names, as public sets have them: what they would be
 * called. */
void shape_renamed(const struct row *r, struct buf *out);
/* −1: the row has all keys of a shape, of more than its own has, and in one of them a value of another type, and
 * which. 0: no such row. */
int shape_misfit(const struct row *r, struct err *e);
/* What the row asks, new; NULL and a sentence. */
json_t *shape_ask(const struct shape *s, const json_t *row, struct err *e);
json_t *shape_answer(const struct shape *s, const json_t *row);   /* new; NULL: none of its own */
bool shape_reads(const struct shape *s, const char *key);
/* The object that the shape's further columns are in; s may be NULL. */
const json_t *shape_with(const struct shape *s, const json_t *row);
bool shape_templated(const struct shape *s, const json_t *row, bool apply);
/* "a, b or c": the names of those that `has` says true of. */
void shape_list(bool (*has)(const struct shape *s, const void *ctx), const void *ctx, struct buf *out);
/* Of a document; NULL where it stands alone. */
const char *shape_role(const struct shape *s, int32_t role);
bool shape_has_roles(const struct shape *s, const char *const *roles /* until NULL */);

#endif
