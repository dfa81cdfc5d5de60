/* page: a page that is served from the program: one file with one style and one script. */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H

#include "base/buf.h"

/* Its Content-Security-Policy: that style and that script, by their hashes, this server, nothing else. */
void page_policy(const char *page, struct buf *policy);

#endif
