/* document: a row as the model sees it: ids and which of them are learnt. */
#ifndef DATA_DOCUMENT_H
#define DATA_DOCUMENT_H

#include "base/arena.h"
#include "data/columns.h"
#include "data/rows.h"
#include "template/template.h"
#include "token/tokenizer.h"

enum { LEARN_PROMPT = 2 };

struct document {
	int32_t *ids;
	/* [n] where tokens are hidden (data/masking.h): what each row predicts, which is its own; NULL: ids */
	const int32_t *predicted;
	/* [n] 1: this token is predicted from those before it and counts in the loss; learn[0] is 0, but where
	 * tokens are hidden. LEARN_PROMPT: so, but no token of the answer */
	uint8_t *learn;
	int32_t n;
	int32_t n_learn;
	const char *file;
	size_t line;
	int32_t role;               /* index into its shape's roles (data/shape.h); 0 where there are none */
	/* where adapters are run or trained side by side (overlay.serves): the one it goes through, −1: none */
	int32_t adapter;
	int32_t second;             /* where a pair's second text begins, whose tokens have type 1; 0: it is none */
	bool joined;                /* in one group with the document before it: nothing parts them */
	bool gold;                  /* to be scored: the choice that is right */
	const char *label;          /* its class or number, as the row has it; NULL: it has none, or a list of them: */
	const char *const *names;   /* [n_names] its labels, or of a vector "0" and "1", one for each label there is */
	int32_t n_names;
	bool listed, vector;        /* it has such a list; it is a vector */
	int32_t choice;             /* to be scored: which choice of its row it is, else −1 */
	int32_t choice_chars;       /* characters of the choice's text, for acc_norm; of a ranked answer always */
	int32_t n_cut;              /* tokens that max_length took off its end */
	/* Of several answers to one prompt, where documents are labelled: more is better, equal ones say nothing of
	 * each other; by how much the better one shall be better (NAN: the row does not say). */
	double score, margin;
	bool empty;                 /* the answer is */
};

struct document_options {
	int32_t max_length;
	bool apply_chat_template;   /* choice rows: the query becomes the user's turn */
	/* the state after the last token is what is trained on, be it of a text with a label or of an answer */
	bool labelled;
	bool label_first;           /* after the first one, an encoder's; an answer is then a pair's second text */
	int types;                  /* of tokens that the model tells apart (model_types): more than 1, a pair's */
	/* Share of a text's tokens that will be hidden: as many are learnt, which does not matter; every piece of a
	 * text stands between what the tokenizer puts around one. 0: next tokens are learnt. */
	double masked;
	bool packing;               /* join documents into rows of exactly max_length: documents_pack */
	/* to be scored: a choice row gives one document a choice (else the gold one alone), and what is a choice
	 * says which */
	bool eval_choices;
	const char *reads;          /* a column that somebody else reads, or NULL */
	bool whole;                 /* a row that is too long is refused, not cut: examples stand before it */
	struct findings *bad;       /* rows that give no documents are told here; NULL: they are an error */
};

struct documents {
	struct arena mem;
	struct document *items;
	size_t n, cap;
	size_t tokens, learnt;      /* sums */
	/* What happened on the way, for lint: */
	size_t n_truncated, n_split; /* documents that lost their end; documents beyond the first of a text */
	/* assistants' turns not learnt, as the template writes them differently once others follow */
	size_t n_rewritten;
	size_t n_tied;              /* rows of several answers of which none is better: they give no documents */
	struct columns columns;     /* which columns the rows have that their shape alone does not tell to be read */
};

struct text_codec {             /* what turning a row into ids needs; borrowed */
	const struct tokenizer *tokenizer;
	const struct template *template_; /* NULL: the model has none */
};

/* Each row by its shape: learnt are assistant and completion tokens only (all tokens of text), and EOS. Errors name
 * file and line. Packing too, where it is asked for; rows whose documents have roles are not packed. */
int documents_make(struct documents *d, const struct rows *r, const struct text_codec *c,
                   const struct document_options *o, struct err *e);
void documents_release(struct documents *d);
double document_number(const struct document *d);  /* its label; NAN: that is no number */
/* −1: their documents have roles or classes */
int documents_packable(const struct rows *r, const struct document_options *o, struct err *e);
/* All documents end to end, cut into rows of exactly max_length, without a row in which nothing is learnt. What is
 * left at the end is dropped. A document's first token is not learnt from the document before it. Of documents made
 * with a max_length that cut none. */
void documents_pack(struct documents *d, int32_t max_length);

#endif
