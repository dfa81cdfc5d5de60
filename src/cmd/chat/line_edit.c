/* line_edit: a line typed at the terminal, with libedit. Ctrl-C is a key while a line is edited, not a signal: it
 * ends the line, and what was typed is thrown away. */
#include "cmd/chat/line_edit.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"

enum { REMEMBERED = 1000 };

struct line_edit {
	bool terminal, interrupted;
	EditLine *edit;                /* NULL: plain */
	History *history;
	char *file;
	const char *prompt;
	char *plain;                   /* getline's */
	size_t plain_size;
};

static char *show_prompt(EditLine *edit)
{
	struct line_edit *l;
	el_get(edit, EL_CLIENTDATA, &l);
	return (char *)(uintptr_t)l->prompt;
}

static unsigned char interrupt(EditLine *edit, int key)
{
	struct line_edit *l;
	(void)key;
	el_get(edit, EL_CLIENTDATA, &l);
	l->interrupted = true;
	return CC_NEWLINE;
}

static void begin_editing(struct line_edit *l)
{
	HistEvent event;

	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	l->edit = el_init("kungfu", stdin, stdout, stderr);
	l->history = history_init();
	history(l->history, &event, H_SETSIZE, REMEMBERED);
	history(l->history, &event, H_SETUNIQUE, 1);
	if (l->file && io_exists(l->file))
		history(l->history, &event, H_LOAD, l->file);
	el_set(l->edit, EL_CLIENTDATA, l);
	el_set(l->edit, EL_PROMPT, show_prompt);
	el_set(l->edit, EL_EDITOR, "emacs");
	el_set(l->edit, EL_HIST, history, l->history);
	el_set(l->edit, EL_ADDFN, "kungfu-interrupt", "Throws the line away", interrupt);
	el_set(l->edit, EL_SETTY, "-d", "-isig", NULL);
	el_set(l->edit, EL_BIND, "^C", "kungfu-interrupt", NULL);
	el_set(l->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
	el_source(l->edit, NULL); /* the person's own ~/.editrc */
}

struct line_edit *line_edit_new(const char *history)
{
	struct line_edit *l = mem_alloc(sizeof(*l));

	l->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	l->file = history ? mem_strdup(history) : NULL;
	if (l->terminal)
		begin_editing(l);
	return l;
}

/* One line without its newline; false at the end. */
static bool read_one(struct line_edit *l, const char **line, size_t *n)
{
	if (l->edit) {
		int count = 0;
		*line = el_gets(l->edit, &count);
		*n = count > 0 ? (size_t)count : 0;
	} else {
		ssize_t count = getline(&l->plain, &l->plain_size, stdin);
		*line = count < 0 ? NULL : l->plain;
		*n = count < 0 ? 0 : (size_t)count;
	}
	if (*line && *n && (*line)[*n - 1] == '\n')
		--*n;
	return *line;
}

static void remember(struct line_edit *l, const struct buf *text)
{
	HistEvent event;
	if (l->edit && text->len && !memchr(text->data, '\n', text->len))
		history(l->history, &event, H_ENTER, buf_str(text));
}

enum line line_edit_read(struct line_edit *l, const char *prompt, struct buf *text)
{
	const char *line;
	size_t n;

	buf_clear(text);
	l->prompt = prompt;
	for (;; l->prompt = "… ") {
		bool more = read_one(l, &line, &n);
		if (l->interrupted) {
			l->interrupted = false;
			puts("^C");
			return LINE_INTERRUPTED;
		}
		if (!more) {
			if (l->terminal)
				puts("");
			return text->len ? LINE_TEXT : LINE_END;
		}
		bool goes_on = n && line[n - 1] == '\\';
		buf_add(text, line, n - goes_on);
		if (!goes_on)
			break;
		buf_addc(text, '\n');
	}
	remember(l, text);
	return LINE_TEXT;
}

bool line_edit_terminal(const struct line_edit *l) { return l->terminal; }

/* What was asked is the person's own: nobody else may read it. */
static void save_history(const struct line_edit *l)
{
	HistEvent event;
	struct err ignored = ERR_INIT;
	char *folder = mem_strndup(l->file, (size_t)(io_basename(l->file) - l->file));

	mode_t mask = umask(077);
	if (io_mkdirs(folder, &ignored) == 0)
		history(l->history, &event, H_SAVE, l->file);
	umask(mask);
	mem_free(folder);
}

void line_edit_free(struct line_edit *l)
{
	if (l->edit) {
		if (l->file)
			save_history(l);
		history_end(l->history);
		el_end(l->edit);
	}
	mem_free(l->plain);
	mem_free(l->file);
	mem_free(l);
}
