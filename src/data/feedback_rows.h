/* feedback_rows: a file of feedback as rows to learn from: feedback/rows.h has the rules; here those are left out that
 * teach nothing, and a repeat of a rater's own earlier label, which says the same thing again. */
#ifndef DATA_FEEDBACK_ROWS_H
#define DATA_FEEDBACK_ROWS_H

#include "feedback/judgement.h"
#include "feedback/rows.h"

/* ROWS_KINDS: what the labels are most: preferences, where there are any; else corrections; else single answers. */
enum { ROWS_KINDS = ROWS_SFT + 1 };
extern const char *const feedback_rows_names[ROWS_KINDS];   /* "ranked", "preference", "unpaired", "completion" */

/* A label's rows, a new list; *untaught grows by those of equal or of empty answers, which are not in it. NULL and a
 * sentence. */
json_t *label_rows(enum feedback_rows kind, const struct feedback_rule *rule, const struct feedback_study *s,
                   const struct feedback_item *it, const struct feedback_label *l, size_t *untaught, struct err *e);
/* The kind that ROWS_KINDS comes to. */
enum feedback_rows feedback_rows_kind(const struct said *s);
/* All rows of the file: add takes each row's reference; line: the label's number. */
int feedback_file_rows(const char *path, int kind, int (*add)(void *ctx, size_t line, json_t *row, struct err *e),
                       void *ctx, struct err *e);

#endif
