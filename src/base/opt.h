/* opt: one table of options gives parsing, --help, YAML keys, the record in run.json and the
 * documentation. A command owns a struct of plain fields and a table that says where each goes.
 *
 *     static const struct opt tune_opts[] = {
 *         OPT_INT("lora-r", struct recipe, lora_r, "8", 1, 4096, "rank of the adapter"),
 *         OPT_END };
 *
 * Options and positionals mix in any order; `--name value` and `--name=value`; a flag takes no
 * value, `--no-name` clears it; `--` ends options. YAML and JSON keys are the option's name with
 * `_` for `-` (both are accepted). Numbers are range-checked by one helper. */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum opt_type {
	OPT_TYPE_END,
	OPT_TYPE_FLAG,
	OPT_TYPE_INT,
	OPT_TYPE_FLOAT,
	OPT_TYPE_STRING,
	OPT_TYPE_BYTES,
	OPT_TYPE_CHOICE,
	OPT_TYPE_LIST,
	OPT_TYPE_GROUP
};

struct opt {
	enum opt_type type;
	const char *name;      /* "learning-rate" */
	const char *alias;     /* a second name or NULL: "p", "lr"; one letter is written -p */
	size_t offset;         /* of the field in the command's struct */
	const char *init;      /* default as text; NULL: unset (NAN, INT64_MIN, NULL, 0 bytes) */
	double min, max;       /* inclusive, for numbers */
	const char *choices;   /* "a|b|c" for CHOICE */
	const char *arg;       /* name of the value in --help: "FILE", "N" */
	const char *help;      /* one line; the default is added by the printer */
};

/* Field types: FLAG bool · INT int64_t · FLOAT double · STRING, CHOICE const char * · BYTES size_t · LIST struct
 * opt_list (repeatable) */
struct opt_list {
	const char **items;
	size_t n;
};
#define OPT_UNSET_INT INT64_MIN

#define OPT_FLAG(name_, s, f, init_, help_) \
	{ \
		OPT_TYPE_FLAG, name_, NULL, offsetof(s, f), init_, 0, 0, NULL, NULL, help_ \
	}
#define OPT_INT(name_, s, f, init_, lo, hi, help_) \
	{ \
		OPT_TYPE_INT, name_, NULL, offsetof(s, f), init_, lo, hi, NULL, "N", help_ \
	}
#define OPT_FLOAT(name_, s, f, init_, lo, hi, help_) \
	{ \
		OPT_TYPE_FLOAT, name_, NULL, offsetof(s, f), init_, lo, hi, NULL, "X", help_ \
	}
#define OPT_STRING(name_, s, f, init_, arg_, help_) \
	{ \
		OPT_TYPE_STRING, name_, NULL, offsetof(s, f), init_, 0, 0, NULL, arg_, help_ \
	}
#define OPT_BYTES(name_, s, f, init_, help_) \
	{ \
		OPT_TYPE_BYTES, name_, NULL, offsetof(s, f), init_, 0, 0, NULL, "SIZE", help_ \
	}
#define OPT_CHOICE(name_, s, f, init_, choices_, help_) \
	{ \
		OPT_TYPE_CHOICE, name_, NULL, offsetof(s, f), init_, 0, 0, choices_, NULL, help_ \
	}
#define OPT_LIST(name_, s, f, arg_, help_) { OPT_TYPE_LIST, name_, NULL, offsetof(s, f), NULL, 0, 0, NULL, arg_, help_ }
#define OPT_GROUP(title_) { OPT_TYPE_GROUP, title_, NULL, 0, NULL, 0, 0, NULL, NULL, NULL }
#define OPT_END { OPT_TYPE_END, NULL, NULL, 0, NULL, 0, 0, NULL, NULL, NULL }
/* With a second name: OPT_ALIAS("p", OPT_STRING(…)) cannot be a macro in C17; write the row out, .alias = "p". */

/* A parse: strings live in it until release. `set` has a bit per row: given by the user, not defaulted. */
struct opt_parse {
	const struct opt *table;
	void *target;
	bool *set;
	const char **positional;
	size_t n_positional;
	char **owned;
	size_t n_owned;
};

int opt_begin(struct opt_parse *p, const struct opt *table, void *target, struct err *e); /* fills the defaults */
/* argv without the program and the command; unknown option: error naming the nearest */
int opt_args(struct opt_parse *p, int argc, char **argv, struct err *e);
/* one value, as text; for --set and YAML */
int opt_assign(struct opt_parse *p, const char *name, const char *value, struct err *e);
/* a flat mapping of names to scalars or lists; errors name the line. Does not override what is already set */
int opt_yaml(struct opt_parse *p, const char *path, struct err *e);
int opt_yaml_text(struct opt_parse *p, const char *text, size_t n, const char *where, struct err *e);
/* as written by opt_record; null: unset. Overrides defaults, not what is set, and does not count as given */
int opt_json(struct opt_parse *p, const json_t *object, struct err *e);
/* the row of a name or alias, `_` as `-`; NULL for none */
const struct opt *opt_find(const struct opt *table, const char *name);
bool opt_given(const struct opt_parse *p, const char *name);
json_t *opt_record(const struct opt_parse *p);                            /* every option's value, new reference */
void opt_help(const struct opt *table, void (*print)(void *ctx, const char *line), void *ctx); /* 80 columns */
/* by edit distance, NULL if nothing is near */
const char *opt_nearest(const char *word, const char *const *words, size_t n);
void opt_release(struct opt_parse *p);

#endif
