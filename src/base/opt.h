/* opt: one table of options gives parsing, --help, YAML keys, the record in run.json and the
 * documentation. A command owns a struct of plain fields and a table that says where each goes.
 *
 *     static const struct opt tune_opts[] = {
 *         OPT_INT("lora-r", struct recipe, lora_r, "8", 1, 4096, "rank of the adapter"),
 *         OPT_END };
 *
 * Options and positionals mix in any order; `--name value` and `--name=value`; a flag takes no
 * value, `--no-name` clears it; `--` ends options. YAML and JSON keys are the option's name with
 * `_` for `-` (both are accepted). Numbers are range-checked by one helper.
 *
 * Where one option names a row of another table (an adapter, an objective), that row brings its own options:
 *
 *     OPT_PICK("method", struct recipe, method, method_rows, "what is trained"),
 *     OPT_ROWS("method", struct recipe, method_options, method_rows),
 *
 * Each row's struct is filled, whichever is picked; recorded is the one in use alone, and opt_unused says what was
 * given to a row that is not. */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <float.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
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
	OPT_TYPE_GROUP,
	/* as a command declares them; in a joined table the one is a CHOICE, the other what it stands for */
	OPT_TYPE_PICK,         /* the name of a row of another table */
	OPT_TYPE_ROWS,         /* here stand the options that the rows of another table bring */
	OPT_TYPE_DEFAULT       /* another default of an option above it; in a joined table it is that option's */
};

/* A row of another table (adapters, objectives, …), as options see it. */
struct opt_row {
	const char *name;              /* "lora" */
	const char *summary;           /* half a line, without a full stop */
	const char *const *also;       /* what else means it, NULL-terminated; or NULL */
	bool standard;                 /* the one that is meant where nothing is said; one row of a table is */
	const struct opt *opts;        /* its own options, without groups; or NULL */
	size_t options_size;           /* of the struct that they fill */
	char note[48];                 /* for --help, after the summary; "" for none */
};
/* Row i of a table into *out; false: there are not so many. */
typedef bool opt_rows(size_t i, struct opt_row *out);

/* One of the rows that bring an option, in a joined table. */
struct opt_use {
	const struct opt *as;          /* the option as the row declares it */
	const struct opt *from;        /* the ROWS through which it comes */
	const struct opt *pick;        /* the PICK that says whether the row is in use; NULL: all are */
	const char *owner;             /* the row's name */
	size_t index;                  /* of the row in its table */
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
	opt_rows *rows;        /* of PICK and ROWS: the other table; of a CHOICE: what it was picked from, or NULL */
	/* In a joined table, where rows bring it: they, in the order of their table; it is one option for all of
	 * them. */
	const struct opt_use *uses;
	size_t n_uses;
};

/* Field types: FLAG bool · INT int64_t · FLOAT double · STRING, CHOICE const char * · BYTES size_t · LIST struct
 * opt_list (repeatable) */
struct opt_list {
	const char **items;
	size_t n;
};
#define OPT_UNSET_INT INT64_MIN
/* As the least of an OPT_FLOAT: any number above 0, however small. */
#define OPT_ABOVE_0 DBL_MIN

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
/* The name of a row of the table that rows_ gives; the default is its standard row. The field is a const char *. */
#define OPT_PICK(name_, s, f, rows_, help_) \
	{ \
		OPT_TYPE_PICK, name_, NULL, offsetof(s, f), NULL, 0, 0, NULL, "NAME", help_, rows_ \
	}
/* The options of these rows. pick_: the name of the PICK by which one of them is chosen, NULL where all are in use. The
 * field is a void **: a struct for each row, filled whether it is in use or not (opt_row_options). */
#define OPT_ROWS(pick_, s, f, rows_) { OPT_TYPE_ROWS, pick_, NULL, offsetof(s, f), NULL, 0, 0, NULL, NULL, NULL, rows_ }
/* Where several commands have the same rows: what one of them means where nothing is said. All that bring the option
 * mean it then. */
#define OPT_DEFAULT(name_, init_) { OPT_TYPE_DEFAULT, name_, NULL, 0, init_, 0, 0, NULL, NULL, NULL }
#define OPT_END { OPT_TYPE_END, NULL, NULL, 0, NULL, 0, 0, NULL, NULL, NULL }
/* With a second name: OPT_ALIAS("p", OPT_STRING(…)) cannot be a macro in C17; write the row out, .alias = "p". */

/* A table with what rows of others bring, and nothing more to look up: ends with OPT_END as any table. Options of one
 * name that several rows bring are one, and stand in a group that names these rows. */
struct opt_table {
	struct opt *rows;
	size_t n;                      /* without the end */
	struct arena mem;
};
void opt_join(struct opt_table *t, const struct opt *declared);
void opt_join_release(struct opt_table *t);

/* A parse: strings live in it until release. `set` has a bit per row: given by the user, not defaulted. */
struct opt_parse {
	const struct opt *declared;
	const struct opt *table;       /* the same, joined */
	struct opt_table joined;
	void *target;
	bool *set;
	const char **positional;
	size_t n_positional;
	void **owned;
	size_t n_owned;
};

int opt_begin(struct opt_parse *p, const struct opt *table, void *target, struct err *e); /* fills the defaults */
/* argv without the program and the command; unknown option: error naming the nearest */
int opt_args(struct opt_parse *p, int argc, char **argv, struct err *e);
/* one value, as text; for --set and YAML */
int opt_assign(struct opt_parse *p, const char *name, const char *value, struct err *e);
/* a number that the caller has checked, to an INT or a FLOAT */
void opt_put(struct opt_parse *p, const char *name, double value);
/* a flat mapping of names to scalars or lists; errors name the line. Does not override what is already set */
int opt_yaml(struct opt_parse *p, const char *path, struct err *e);
int opt_yaml_text(struct opt_parse *p, const char *text, size_t n, const char *where, struct err *e);
/* as written by opt_record; null: unset. Overrides defaults, not what is set, and does not count as given */
int opt_json(struct opt_parse *p, const json_t *object, struct err *e);
/* the row of a name or alias, `_` as `-`, those that rows bring too; NULL for none */
const struct opt *opt_find(const struct opt *table, const char *name);
bool opt_given(const struct opt_parse *p, const char *name);
/* The value of every option that is in use, new reference; of a target that a parse has filled. */
json_t *opt_record(const struct opt_parse *p);
json_t *opt_record_of(const struct opt *table, const void *target);
/* What was given and no row in use has, as "--method full does not use --lora-r (lora does)"; appends nothing where all
 * is used. */
void opt_unused(const struct opt_parse *p, struct buf *sentence);
/* Row `name` of a table, by its name or what else means it; false: there is none. *i (may be NULL): which one. */
bool opt_row_find(opt_rows *rows, const char *name, struct opt_row *out, size_t *i);
/* The name in a PICK's field, "" for none; whether the row that brings an option is in use. */
const char *opt_pick_value(const struct opt *pick, const void *target);
bool opt_use_is_on(const struct opt_use *use, const void *target);
/* Of a field of OPT_ROWS, the struct of the row `name`; NULL for a row without options. */
const void *opt_row_options(opt_rows *rows, void *const *field, const char *name);
void opt_help(const struct opt *table, void (*print)(void *ctx, const char *line), void *ctx); /* 80 columns */
/* by edit distance, NULL if nothing is near */
const char *opt_nearest(const char *word, const char *const *words, size_t n);
void opt_release(struct opt_parse *p);

#endif
