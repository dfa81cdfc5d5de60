/* form: what people said, as others keep it: a form is a row of form_table, which reads rows of that form and writes
 * them.
 *
 *     plain          ours: {item, prompt, answers, rater, winner, tie, rating, edited, seconds, …}, a label a row
 *     trl            {prompt, chosen, rejected}, {prompt, completion, label}, {prompt, completion}; all shapes of
 *                    preferences (data/shape.h) are read
 *     hh             {chosen, rejected}: whole transcripts, "\n\nHuman: …\n\nAssistant: …"
 *     arena          {model_a, model_b, winner, judge, conversation_a, conversation_b}: Chatbot Arena's and MT-bench's
 *     argilla        records of fields and of responses by question
 *     label-studio   tasks of data and annotations
 *
 * A row becomes statements: an item, and what one rater said of it. What a form has no place for is counted while it is
 * written (form_lost), so that it can be said once. */
#ifndef DATA_FORMS_FORM_H
#define DATA_FORMS_FORM_H

#include <jansson.h>

#include "base/buf.h"
#include "data/feedback_rows.h"
#include "data/rows.h"

struct statement {
	struct feedback_item item;     /* id 0 */
	struct feedback_label label;   /* its item and rater are the taker's; time 0 where the row has none */
	const char *rater;             /* NULL: not told */
	bool labelled;                 /* false: an item that nobody has judged */
};

/* What a label, or an item, may say beside who is better. */
enum form_fact {
	FACT_PAIR, FACT_TIE, FACT_BOTH_BAD, FACT_SKIPPED, FACT_STRENGTH, FACT_RANK, FACT_RATING, FACT_CLASS,
	FACT_CORRECTION, FACT_UNSAFE, FACT_COMMENT, FACT_SECONDS, FACT_RATER, FACT_SIDES, FACT_REPEAT,
	FACT_MODELS, FACT_GOLD, FACT_UNJUDGED, FORM_FACTS
};
#define HOLDS(fact) (1u << (fact))

struct form_reader {
	struct arena mem;              /* of the row at hand */
	const struct row *row;
	int (*take)(void *ctx, const struct statement *s, struct err *e);
	void *ctx;
};

struct form_writer {
	const struct said *said;
	const char *const *names;      /* [raters' ids + 1] of raters, NULL: none is told */
	int rows;                      /* trl: which kind; ROWS_KINDS is settled before the first */
	struct feedback_rule rule;
	/* a row, taken */
	int (*emit)(void *ctx, json_t *row, struct err *e);
	void *ctx;
	size_t written;
	size_t lost[FORM_FACTS];       /* labels (items) of which this was left out */
	size_t untaught;               /* rows of equal or of empty answers, which trl leaves out */
};

struct form {
	const char *name;
	bool (*fits)(const json_t *row);                    /* is this a row of the form? */
	int (*read)(struct form_reader *r, const json_t *row, struct err *e);
	/* One item and what was said of it. */
	int (*write)(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *const *labels,
	             size_t n, struct err *e);
	unsigned holds;                                     /* facts */
	bool array;                                         /* a file of it is a JSON array, unless lines are wanted */
};

extern const struct form *const form_table[];               /* NULL-terminated, in the order in which rows are tried */

const struct form *form_find(const char *name);             /* NULL: there is none */
/* The form of the rows: of the first that any fits; NULL and a sentence. */
const struct form *form_of(const struct rows *rows, struct err *e);
/* All rows as statements, whose strings live until take returns; the sentence has file and line. */
int form_read(const struct form *f, const struct rows *rows,
              int (*take)(void *ctx, const struct statement *s, struct err *e), void *ctx, struct err *e);
/* All that was said. */
int form_write(const struct form *f, struct form_writer *w, struct err *e);
/* "3 ties, 120 comments": what was lost; appends nothing where nothing was. */
void form_lost(const struct form_writer *w, struct buf *out);

/* --- for the files form_*.c --- */

void statement_init(struct statement *s);                   /* nothing is said */
int statement_take(struct form_reader *r, const struct statement *s, struct err *e);
/* A string as it is in C; NULL and a sentence: it is none, or holds a zero byte. what: the column. */
const char *form_text(struct form_reader *r, const json_t *text, const char *what, struct err *e);
/* A prompt as JSON, in the reader's memory: a text, or messages in any form (data/conversation.h). */
const char *form_prompt(struct form_reader *r, const json_t *prompt, struct err *e);
/* Answer i of the item: a text, a message, a list of messages; of several turns the text is a transcript, and the
 * messages are kept in extra as `turns`. */
int form_answer(struct form_reader *r, struct feedback_item *it, int i, const json_t *answer, struct err *e);
/* The row's columns that are not in `known` (until NULL) become the item's extra. */
void form_extra(struct form_reader *r, struct feedback_item *it, const json_t *row, const char *const *known);
/* Messages as one text: "\n\nHuman: …\n\nAssistant: …"; an assistant's first turn without its name. */
void form_transcript(const json_t *messages, struct buf *out);
/* What a message says, its parts joined; new. */
json_t *form_content(const json_t *message);

json_t *form_prompt_json(const struct feedback_item *it);   /* new */
/* Answer i: a text after a text; after messages the list of messages that answer. New. */
json_t *form_answer_json(const struct feedback_item *it, int i);
/* The prompt and the answer as one list of messages, new; a text is the user's turn. */
json_t *form_conversation(const struct feedback_item *it, int i);
json_t *form_extra_json(const struct feedback_item *it);    /* an object without `turns`, new; empty: none */
/* The name of who said it, NULL: it is not told. */
const char *form_rater(const struct form_writer *w, const struct feedback_label *l);
int form_emit(struct form_writer *w, json_t *row, struct err *e);

/* All pairs of answers of which a label says that one is better (feedback_scores), by w->rule.least or more; returns
 * how many. */
enum { FORM_PAIRS = FEEDBACK_ANSWERS * (FEEDBACK_ANSWERS - 1) / 2 };
struct form_pair { int better, worse; };
int form_pairs(const struct form_writer *w, const struct feedback_item *it, const struct feedback_label *l,
               struct form_pair out[FORM_PAIRS]);

#endif
