/* training_texts: one file after another, one text after another; nothing is kept of either. */
#include "corpus/training_texts.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "corpus/clean.h"
#include "corpus/input.h"

static const size_t MOST_TEXT = (size_t)64 << 20;

struct training_texts {
	struct input_list list;
	size_t next;        /* file */
	struct input *file; /* open, or NULL */
	const char *column;
	struct buf text;
	struct training_texts_report r;
};

int training_texts_open(struct training_texts **out, const char *const *paths, size_t n, const char *column,
                        struct err *e)
{
	struct training_texts *x = mem_alloc(sizeof(*x));
	int status = 0;

	x->column = column;
	x->text.max = SIZE_MAX;
	for (size_t i = 0; i < n && !status; i++)
		status = input_list_add(&x->list, paths[i], paths[i], i, e);
	if (status) {
		training_texts_close(x);
		x = NULL;
	}
	*out = x;
	return status;
}

static void close_file(struct training_texts *x)
{
	char hash[33];

	if (!x->file)
		return;
	const char *path = x->list.items[x->next - 1].name;
	if (input_damaged(x->file) && x->r.damaged++ == 0)
		snprintf(x->r.first_damaged, sizeof(x->r.first_damaged), "%s", path);
	input_close(x->file, hash);
	x->file = NULL;
}

/* 1: there is one; 0: no more. */
static int open_next(struct training_texts *x, struct err *e)
{
	struct input_options o = { .most_bytes = MOST_TEXT };
	enum input_kind kind;

	close_file(x);
	while (x->next < x->list.n) {
		const struct input_file *f = &x->list.items[x->next++];
		if (input_open(&x->file, f, &o, &kind, e) < 0)
			return -1;
		if (x->file) {
			x->r.files++;
			return 1;
		}
		if (x->r.left_out++ == 0)
			snprintf(x->r.first_left_out, sizeof(x->r.first_left_out), "%s", f->name);
	}
	return 0;
}

/* The file's next text, from the open file or from those after it; 0: there is none any more. */
static int next_input(struct training_texts *x, struct input_text *in, struct err *e)
{
	int found = x->file ? input_next(x->file, in, e) : 0;

	while (found == 0 && (found = open_next(x, e)) > 0)
		found = input_next(x->file, in, e);
	return found;
}

static int next(void *ctx, const char **text, size_t *n, struct err *e)
{
	struct training_texts *x = ctx;
	const struct clean_options o = { .keep_newlines = true, .keep_controls = true, .text_column = x->column };
	struct clean_counts c = { 0 };
	struct input_text in;
	int found;

	while ((found = next_input(x, &in, e)) > 0) {
		enum clean_verdict v = clean_text(&o, in.data, in.n, in.row, &x->text, &c);
		if (v == CLEAN_EMPTY)
			continue;
		if (v != CLEAN_TEXT) {
			if (x->r.no_column++ == 0)
				snprintf(x->r.first_no_column, sizeof(x->r.first_no_column), "%s:%llu",
				         x->list.items[x->next - 1].name, (unsigned long long)in.line);
			continue;
		}
		*text = buf_str(&x->text);
		*n = x->text.len;
		x->r.mended += c.bad_texts;
		x->r.texts++;
		return 1;
	}
	return found;
}

struct token_texts training_texts_source(struct training_texts *x)
{
	return (struct token_texts){ next, x, x->list.bytes };
}

const struct training_texts_report *training_texts_report(const struct training_texts *x) { return &x->r; }

void training_texts_close(struct training_texts *x)
{
	if (!x)
		return;
	close_file(x);
	input_list_release(&x->list);
	buf_release(&x->text);
	mem_free(x);
}
