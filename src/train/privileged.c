/* privileged: see privileged.h. A row becomes another row, and whatever makes documents makes them of it. */
#include "train/privileged.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "data/shape.h"

#define PROMPT "{prompt}"
#define CONTEXT "{privileged_context}"

int privileged_check(const char *form, struct err *e)
{
	if (strstr(form, PROMPT) && strstr(form, CONTEXT))
		return 0;
	return err_set(e, "--teacher-prompt-template wants " PROMPT " and " CONTEXT " in it, found '%s'", form);
}

int32_t privileged_prompt(const struct document *d)
{
	int32_t n = 0;

	while (n < d->n && !d->learn[n])
		n++;
	return n;
}

static json_t *filled(const char *form, const char *prompt, const char *context)
{
	struct buf text = BUF_INIT;

	for (const char *at = form; *at;)
		if (!strncmp(at, PROMPT, strlen(PROMPT))) {
			buf_adds(&text, prompt);
			at += strlen(PROMPT);
		} else if (!strncmp(at, CONTEXT, strlen(CONTEXT))) {
			buf_adds(&text, context);
			at += strlen(CONTEXT);
		} else {
			buf_add(&text, at++, 1);
		}
	json_t *j = json_stringn(buf_str(&text), text.len);
	buf_release(&text);
	return j;
}

/* The prompt with the context in it, new; NULL and a sentence. */
static json_t *teachers_prompt(const json_t *prompt, const char *form, const char *context, struct err *e)
{
	const json_t *last = json_array_get(prompt, json_array_size(prompt) - 1),
		     *content = json_object_get(last, "content");

	if (json_is_string(prompt))
		return filled(form, json_string_value(prompt), context);
	if (!json_is_string(content)) {
		err_set(e, "--privileged-context wants a prompt that is a text, or ends with a message whose content "
		           "is one");
		return NULL;
	}
	json_t *all = json_copy((json_t *)prompt), *turn = json_copy((json_t *)last);
	json_object_set_new(turn, "content", filled(form, json_string_value(content), context));
	json_array_set_new(all, json_array_size(all) - 1, turn);
	return all;
}

static int make_row(const struct row *from, struct row *to, const char *column, const char *form, struct err *e)
{
	const json_t *context = json_object_get(from->json, column), *prompt = json_object_get(from->json, "prompt");

	if (!json_is_string(context))
		return err_set(e, "--privileged-context %s: the row has no text of that name", column);
	if (!prompt)
		return err_set(e, "--privileged-context wants rows with a column prompt");
	json_t *asked = teachers_prompt(prompt, form, json_string_value(context), e);
	if (!asked)
		return -1;
	*to = (struct row){ json_copy(from->json), from->file, from->line };
	json_object_set_new(to->json, "prompt", asked);
	return 0;
}

/* Each has the answer that the student's has. */
static int check_pairs(const struct documents *student, const struct documents *teacher, struct err *e)
{
	for (size_t i = 0; i < student->n && i < teacher->n; i++)
		if (student->items[i].line != teacher->items[i].line)
			return err_set(e, "%s:%zu: --privileged-context wants rows that give one document each",
			               student->items[i].file, student->items[i].line);
	return student->n == teacher->n ? 0 : err_set(e, "--privileged-context: rows of the teacher are others");
}

int privileged_make(struct privileged *p, const struct rows *rows, const struct documents *student, const char *column,
                    const char *form, const struct text_codec *c, const struct document_options *o, struct err *e)
{
	p->rows = (struct rows){ .items = mem_array(rows->n, sizeof(*rows->items)), .cap = rows->n,
		                 .shape = rows->shape };
	memcpy(p->rows.hash, rows->hash, sizeof(rows->hash));
	for (; p->rows.n < rows->n; p->rows.n++) {
		const struct row *from = &rows->items[p->rows.n];
		if (make_row(from, &p->rows.items[p->rows.n], column, form, e) < 0)
			return err_prefix(e, "%s:%zu", from->file, from->line);
	}
	if (documents_make(&p->documents, &p->rows, c, o, e) < 0)
		return -1;
	return check_pairs(student, &p->documents, e);
}

void privileged_release(struct privileged *p)
{
	documents_release(&p->documents);
	rows_release(&p->rows);
	*p = (struct privileged){ 0 };
}
