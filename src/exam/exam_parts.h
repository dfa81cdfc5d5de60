/* exam_parts: what the files of src/exam share; nobody else includes it. */
#ifndef EXAM_EXAM_PARTS_H
#define EXAM_EXAM_PARTS_H

#include "base/mem.h"
#include "base/py_re.h"
#include "exam/function.h"
#include "exam/exam.h"

#define EXAM_MOST_DOCS 4000000

/* --- configs: exam_config.c --- */

/* Where names lead: configs by name, with where each file lies. */
struct exam_index {
	json_t *configs;               /* name → config, includes merged */
	json_t *folders;               /* name → folder of its file */
};

int exam_index_builtin(struct exam_index *x, struct err *e);
/* All *.yaml below, by their task's or group's name. */
int exam_index_folder(struct exam_index *x, const char *dir, struct err *e);
/* One file; *name of what it holds, borrowed from the index. */
int exam_index_file(struct exam_index *x, const char *path, const char **name, struct err *e);
void exam_index_release(struct exam_index *x);

/* --- one task: exam_open.c --- */

int exam_open(struct exam *t, const json_t *config, const char *folder, const struct exam_source *from, struct err *e);
void exam_release(struct exam *t);
/* Keys that are none of the list, which ends with NULL: −1 and the name of the first. */
int exam_keys(const json_t *o, const char *const *known, const char *what, struct err *e);
int exam_field_open(struct exam_field *f, const json_t *value, const char *key, struct err *e);
void exam_field_release(struct exam_field *f);

/* --- rows: exam_data.c --- */

/* Rows of a split, new, raw. */
json_t *exam_split(const struct exam *t, const char *split, const struct exam_source *from, struct err *e);

/* --- files of a data set that was pulled: exam_pulled.c --- */

struct exam_files { char **path; size_t n; };

/* The files below dir that are the split, of the config `name` or of any where it is NULL; n 0: there are none. */
int exam_pulled(struct exam_files *out, const char *dir, const char *name, const char *split, struct err *e);
void exam_files_release(struct exam_files *f);

/* --- what a row says: exam_fields.c --- */

/* Each new; NULL and a sentence. */
json_t *exam_text(const struct exam *t, const struct exam_field *f, const json_t *doc, struct err *e);
json_t *exam_target(const struct exam *t, const struct exam_field *f, const json_t *doc, struct err *e);
json_t *exam_choices(const struct exam *t, const struct exam_field *f, const json_t *doc, struct err *e);
/* A column or a template; "" where there is none. */
json_t *exam_words(const struct exam_field *f, const json_t *doc, struct err *e);

/* --- what is asked: exam_ask.c --- */

/* The number of a row's first request; requests are in the order of rows. */
size_t exam_first_of(const struct exam_asked *a, size_t row);

/* --- answers: exam_filter.c --- */

int exam_filter_open(struct exam_filter **out, const json_t *config, struct err *e);
struct exam_filter *exam_filter_first(void);   /* "none": take_first */
void exam_filter_free(struct exam_filter *f);
/* answers: [repeats]; the one that counts, new: a text, a number or null. *fell_back: something was not found. */
json_t *exam_filter_apply(const struct exam_filter *f, const json_t *doc, const json_t *answers, bool *fell_back,
                          struct err *e);

/* --- metrics: exam_metric.c --- */

int exam_metrics_open(struct exam *t, struct err *e);
void exam_metrics_release(struct exam *t);
/* What is measured of one sample, new. answers as exam_function's, filtered. */
json_t *exam_measure(const struct exam *t, size_t row, const json_t *doc, const json_t *answers, struct err *e);
/* Of all samples' values. */
int exam_aggregate(const struct exam_metric *m, const json_t *values, struct exam_score *out, struct err *e);

#endif
