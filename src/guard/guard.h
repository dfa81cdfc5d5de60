/* guard: a text looked at by rules, whatever it is written in: what was found, where in its own bytes, and what is to
 * be done. Rules are YAML (share/guard.yaml is built in): expressions over the clean or the folded text
 * (guard/fold.h) of the text and of everything that is undone in it (guard/canonical.h), check digits, words that must
 * stand nearby. A text that is hidden in an encoding and reads as a language is a finding by itself, and so are odd
 * characters.
 *
 * A long text is looked at in windows of 256 KiB, each 4 KiB into the one before. */
#ifndef GUARD_GUARD_H
#define GUARD_GUARD_H

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum guard_verdict { GUARD_ALLOW, GUARD_FLAG, GUARD_REDACT, GUARD_REFUSE, GUARD_VERDICTS };
extern const char *const guard_verdict_names[GUARD_VERDICTS]; /* "allow" … */

struct guard;         /* rules; read by any number of threads */
struct guard_scratch; /* of one thread */

struct guard_finding {
	const char *rule;          /* "secret.aws-access-key", "encoding.base64", "sign.bidi"; the guard's */
	enum guard_verdict verdict;
	size_t begin, end;         /* in the original bytes */
	double confidence;         /* of what it was undone from, 1 in the text itself */
	const char *path;          /* "rot13 in base64", "" in the text itself */
};

enum { GUARD_FINDINGS = 1000 };

struct guard_result {
	enum guard_verdict verdict;    /* the gravest of them */
	struct guard_finding *findings; /* [n] by their places */
	size_t n, cap;
	size_t more;                   /* that were not kept */
	const char *capped;            /* NULL, or which bound was reached: what lies behind it was not looked at */
	uint64_t work;                 /* steps taken */
	struct arena mem;              /* paths */
};

/* file: rules over the built-in ones, or NULL; "builtin" means these too. −1: file, line and what is wrong there. */
int guard_open(struct guard **g, const char *file, struct err *e);
/* The same of a file's text, n bytes; NULL: the built-in ones alone. name: the file's, for sentences. */
int guard_open_text(struct guard **g, const char *text, size_t n, const char *name, struct err *e);
void guard_close(struct guard *g);
size_t guard_rules(const struct guard *g); /* how many */

struct guard_scratch *guard_scratch_new(const struct guard *g);
void guard_scratch_free(struct guard_scratch *s);

/* Any bytes. Released by the caller. */
void guard_look(struct guard_scratch *s, const char *text, size_t n, struct guard_result *r);
/* A finding of another's (a classifier, a perplexity) beside them; rule is borrowed. */
void guard_add(struct guard_result *r, const char *rule, enum guard_verdict verdict, size_t begin, size_t end,
               double confidence);
/* The first of the gravest findings, of which there is one at least. */
const struct guard_finding *guard_gravest(const struct guard_result *r);
/* Appends the text with "[KIND]" for each span that is to be redacted: the rule's last part, capital. */
void guard_redact(const struct guard_result *r, const char *text, size_t n, struct buf *out);
/* {verdict, findings: [{rule, verdict, begin, end, confidence, path, sha256 or text}]}; hashes of what was found, or,
 * with `texts`, what was found. New. */
json_t *guard_json(const struct guard_result *r, const char *text, bool texts);
void guard_result_release(struct guard_result *r);

#endif
