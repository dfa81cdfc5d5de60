/* rules: by what documents and lines are left out that are not worth learning, as C4, Gopher (MassiveText) and FineWeb
 * have published them. Each is a row: a name, a group, the threshold.
 *
 * They are made for English web pages: of code, verse, tables and other languages they leave little. A rule looks at
 * the text as the rules before it left it. */
#ifndef CORPUS_RULES_H
#define CORPUS_RULES_H

#include "base/buf.h"
#include "base/err.h"
#include "corpus/facts.h"

/* What a rule says of a document: whether it goes, and the number by which it does. */
struct rule_verdict { bool removed; double value; };

struct rule {
	const char *name, *group;
	const char *summary;            /* half a line */
	double least, most;             /* value below or above: it goes; NAN: no such bound */
	/* The value that is judged; scratch is the thread's. NULL for a rule of lines. */
	double (*value)(const struct facts *f, const struct rule *r);
	int n;                          /* of its n-grams */
};

extern const struct rule rules_table[];
enum { RULES_MOST = 64 };
size_t rules_count(void);

/* Which rules are on. */
struct rules_on { bool on[RULES_MOST]; bool any; };
/* "c4,gopher-quality,-c4-terminal-punctuation": names and groups, with a - in front off again. */
int rules_parse(const char *list, struct rules_on *on, struct err *e);

/* Each line that a rule of lines took, or changed; a rule by its index. */
typedef void rule_line(void *ctx, size_t rule, struct text_span line);
/* Judges the document. −1: it stays, its text may be changed, in `text`; else the rule by which it goes, and *value.
 * f is filled as needed and borrows text. */
int rules_judge(const struct rules_on *on, struct buf *text, struct facts *f, double *value, rule_line *line,
                void *ctx);

/* C4's, which take lines (rules_c4.c). first: index of the group's first rule. As rules_judge. */
int rules_c4(const bool *on, size_t first, struct buf *text, struct facts *f, double *value, rule_line *line,
             void *ctx);

/* What rules count, for tests too: characters of words in n-grams that came before; characters of the commonest n-gram
 * times how often it comes; parts that came before, or their characters. */
double rule_duplicate_ngrams(const struct text_spans *words, int n);
double rule_top_ngram(const struct text_spans *words, int n);
double rule_duplicates(const struct text_spans *parts, bool characters);

#endif
