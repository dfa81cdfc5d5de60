/* line_edit: lines from a person, edited and remembered (libedit), or from a file or pipe, read plainly. A line that
 * ends in a backslash goes on in the next one. */
#ifndef CMD_LINE_EDIT_H
#define CMD_LINE_EDIT_H

#include <stdbool.h>

#include "base/buf.h"

struct line_edit;

enum line { LINE_TEXT, LINE_INTERRUPTED /* Ctrl-C, the line is thrown away */, LINE_END };

struct line_edit *line_edit_new(const char *history /* a file, or NULL */);
enum line line_edit_read(struct line_edit *l, const char *prompt, struct buf *text);
bool line_edit_terminal(const struct line_edit *l);
void line_edit_free(struct line_edit *l);

#endif
