/* text_table: cells are kept until all are there; widths are those of a terminal, not bytes. */
#include "cmd/text_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/term.h"

void table_cell(struct table *t, const char *fmt, ...)
{
	char raw[1024];
	struct buf safe = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	term_text(&safe, raw, strlen(raw));
	t->cells = mem_grow(t->cells, t->n + 1, sizeof(*t->cells));
	t->cells[t->n++] = mem_strdup(buf_str(&safe));
	buf_release(&safe);
}

static size_t cell_width(const struct table *t, size_t i)
{
	return i < t->n ? term_columns(t->cells[i], strlen(t->cells[i])) : 0;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t width = 0;
	for (size_t i = column; i < t->n; i += t->columns)
		width = MAX(width, cell_width(t, i));
	return width;
}

void table_write(struct buf *out, const struct table *t, const char *indent)
{
	for (size_t row = 0; row + t->columns <= t->n; row += t->columns) {
		size_t begin = out->len;
		buf_adds(out, indent);
		for (size_t c = 0; c < t->columns; c++) {
			int pad = (int)(column_width(t, c) - cell_width(t, row + c));
			buf_addf(out, "%s%*s%s%*s", c > 0 ? "  " : "", t->right >> c & 1 ? pad : 0, "",
			         t->cells[row + c], t->right >> c & 1 ? 0 : pad, "");
		}
		while (out->len > begin && out->data[out->len - 1] == ' ')
			out->data[--out->len] = 0;
		buf_addc(out, '\n');
	}
}

void table_release(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		mem_free(t->cells[i]);
	mem_free(t->cells);
	t->cells = NULL;
	t->n = 0;
}
