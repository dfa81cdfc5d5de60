/* multipart: parts between lines that no part contains. See multipart.h. */
#include "serve/multipart.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

enum { BOUNDARY_MOST = 70, HEAD_MOST = 4096 };

/* "--" and the boundary; NULL: the type names none. */
static const char *boundary_of(struct arena *mem, const char *type)
{
	const char *at = strcasestr(type, "boundary=");
	size_t n;

	if (!at || (at[-1] != ' ' && at[-1] != ';'))
		return NULL;
	at += strlen("boundary=");
	if (*at == '"')
		n = strcspn(++at, "\"");
	else
		n = strcspn(at, "; \t");
	return n && n <= BOUNDARY_MOST ? arena_printf(mem, "--%.*s", (int)n, at) : NULL;
}

/* A parameter of a Content-Disposition, name="value"; NULL: it is not there. */
static const char *parameter(struct arena *mem, const char *line, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = line; (at = strchr(at, ';'));) {
		at += 1 + strspn(at + 1, " \t");
		if (strncasecmp(at, name, n) || at[n] != '=' || at[n + 1] != '"')
			continue;
		char *out = arena_alloc(mem, strlen(at) + 1), *to = out;
		for (at += n + 2; *at && *at != '"'; at++)
			*to++ = *at == '\\' && at[1] ? *++at : *at;
		return *at == '"' ? out : NULL;
	}
	return NULL;
}

/* A part's lines up to the empty one. */
static int read_head(struct multipart *f, struct multipart_part *p, const char *head, size_t n, struct err *e)
{
	static const char wanted[] = "Content-Disposition:";
	char *lines = arena_printf(&f->mem, "%.*s", (int)n, head);

	for (char *line; (line = strsep(&lines, "\r\n"));) {
		if (strncasecmp(line, wanted, sizeof(wanted) - 1))
			continue;
		const char *what = line + sizeof(wanted) - 1;
		what += strspn(what, " \t");
		if (strncasecmp(what, "form-data", strlen("form-data")))
			break;
		p->name = parameter(&f->mem, what, "name");
		p->filename = parameter(&f->mem, what, "filename");
	}
	return p->name ?
	               0 :
	               err_set(e, "part %zu of the form has no Content-Disposition of form-data with a name", f->n + 1);
}

/* The part that begins at *at, behind its line; *at: where the next line's "--" stands. */
static int read_part(struct multipart *f, const char *line, const char **at, const char *end, struct err *e)
{
	struct multipart_part *p = &f->part[f->n];
	const char *close = arena_printf(&f->mem, "\r\n%s", line);
	const char *head = *at, *data = memmem(head, (size_t)(end - head), "\r\n\r\n", 4);

	if (f->n == MULTIPART_PARTS)
		return err_set(e, "the form has more than %d parts", MULTIPART_PARTS);
	if (!data || data - head > HEAD_MOST)
		return err_set(e, "part %zu of the form has no end of its head", f->n + 1);
	if (read_head(f, p, head, (size_t)(data - head), e) < 0)
		return -1;
	p->data = data + 4;
	const char *stop = memmem(p->data, (size_t)(end - p->data), close, strlen(close));
	if (!stop)
		return err_set(e, "part %zu of the form has no end", f->n + 1);
	p->n = (size_t)(stop - p->data);
	*at = stop + 2;
	f->n++;
	return 0;
}

int multipart_read(struct multipart *f, const char *type, const char *body, size_t n, struct err *e)
{
	const char *at = body, *end = body + n;

	*f = (struct multipart){ .mem = ARENA_INIT };
	const char *line = boundary_of(&f->mem, type);
	if (!line)
		return err_set(e, "the form's Content-Type has no boundary of 1 to %d characters", BOUNDARY_MOST);
	size_t size = strlen(line);
	while ((size_t)(end - at) >= size + 2 && !memcmp(at, line, size)) {
		at += size;
		if (!memcmp(at, "--", 2))
			return 0;
		if (memcmp(at, "\r\n", 2))
			break;
		at += 2;
		if (read_part(f, line, &at, end, e) < 0)
			return -1;
	}
	return err_set(e, "the form has no line '%s' where one was expected, after %zu parts", line, f->n);
}

const struct multipart_part *multipart_find(const struct multipart *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (!strcmp(f->part[i].name, name))
			return &f->part[i];
	return NULL;
}

void multipart_release(struct multipart *f) { arena_release(&f->mem); }
