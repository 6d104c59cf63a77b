/*
 * A disk that can forget: preloaded into a server, this writes down all that it changes below one folder, and what of
 * that it has synced. Whoever reads the journal can make the folder as it may be after a power cut.
 *
 * The real change comes first, then its record, both under one lock; so all that the process could act on is in the
 * journal, in order. A record is in the page cache of the journal, which outlives a kill -9. A sync is recorded when it
 * has returned, with the number of records that there were when it began: nothing later is promised by it.
 *
 * Every call is made by its number, so nothing here is called by itself. What is not watched (mapped memory, links,
 * copies inside the kernel) shows where the journal is held against the folder.
 *
 *   FORGETFUL_ROOT     the folder, absolute and without symbolic links
 *   FORGETFUL_JOURNAL  the file for the records; without one of these two nothing is watched
 *   FORGETFUL_SYNC_US  how long a sync takes; it is only waited for, because a kill -9 leaves the page cache as it is
 *   FORGETFUL_LIE      there: a sync returns as usual and promises nothing
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As in journal.rs. */
enum kind { MADE_FILE = 1, MADE_FOLDER, WRITTEN, SIZED, SYNCED, REMOVED, RENAMED };

/* In front of each record; the path and the data follow. */
struct head {
    uint32_t kind;
    uint32_t path_bytes;
    uint64_t node;
    uint64_t number;
    uint64_t data_bytes;
};

static char root[PATH_MAX];
static size_t root_bytes;
static int journal = -1;
static int lie;
static long sync_us;
static uint64_t records;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *why) {
    dprintf(2, "forgetful disk: %s: %s\n", why, strerror(errno));
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("FORGETFUL_ROOT"), *file = getenv("FORGETFUL_JOURNAL");
    const char *us = getenv("FORGETFUL_SYNC_US");
    if (!folder || !file) return;
    root_bytes = strlen(folder);
    if (root_bytes >= sizeof root) die("the folder's path is too long");
    memcpy(root, folder, root_bytes + 1);
    lie = getenv("FORGETFUL_LIE") != NULL;
    sync_us = us ? atol(us) : 0;
    journal = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) die("the journal cannot be opened");
}

/* Whether a path is in the folder, or the folder. */
static int inside(const char *path) {
    return journal >= 0 && strncmp(path, root, root_bytes) == 0 && (path[root_bytes] == '/' || path[root_bytes] == 0);
}

/* What a descriptor is in the folder: its type and number; 0 if it is elsewhere, or neither file nor folder. */
static mode_t watched(int fd, uint64_t *node) {
    char link[64], path[PATH_MAX];
    struct stat found;
    int before = errno;
    mode_t type = 0;
    if (journal >= 0 && fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t bytes = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
        path[bytes > 0 ? bytes : 0] = 0;
        if (inside(path)) type = found.st_mode & S_IFMT, *node = found.st_ino;
    }
    errno = before;
    return type;
}

/* The type and number of what a path leads to; 0 if there is nothing. */
static mode_t at_path(const char *path, uint64_t *node) {
    struct stat found;
    int before = errno;
    mode_t type = lstat(path, &found) == 0 ? found.st_mode & S_IFMT : 0;
    if (type) *node = found.st_ino;
    errno = before;
    return type;
}

static void put(const struct iovec *from, int count, size_t bytes) {
    struct iovec parts[IOV_MAX];
    memcpy(parts, from, count * sizeof *from);
    struct iovec *part = parts;
    while (bytes > 0) {
        ssize_t done = syscall(SYS_writev, journal, part, (unsigned long)(parts + count - part));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) die("the journal cannot be written");
        bytes -= done;
        while (part < parts + count && (size_t)done >= part->iov_len) done -= (part++)->iov_len;
        if (bytes > 0) part->iov_base = (char *)part->iov_base + done, part->iov_len -= done;
    }
}

/* Appends a record; the lock is held. `data` is `count` parts behind two free places, of which `bytes` bytes count. */
static void record_parts(enum kind kind, const char *path, uint64_t node, uint64_t number, struct iovec *data,
                         int count, uint64_t bytes) {
    int before = errno;
    struct head head = {kind, strlen(path), node, number, bytes};
    data[0] = (struct iovec){&head, sizeof head};
    data[1] = (struct iovec){(void *)path, head.path_bytes};
    uint64_t left = bytes;
    for (int i = 2; i < count + 2; i++) {
        if (data[i].iov_len > left) data[i].iov_len = left;
        left -= data[i].iov_len;
    }
    put(data, count + 2, sizeof head + head.path_bytes + bytes);
    records++;
    errno = before;
}

static void record(enum kind kind, const char *path, uint64_t node, uint64_t number, const void *data, uint64_t bytes) {
    struct iovec parts[3] = {{0}, {0}, {(void *)data, bytes}};
    record_parts(kind, path, node, number, parts, 1, bytes);
}

/* --- what makes and opens files --- */

static int opened(int folder, const char *path, int flags, mode_t mode) {
    uint64_t node = 0;
    if (!(flags & (O_CREAT | O_TRUNC)) || !inside(path)) return syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    mode_t before = at_path(path, &node);
    int fd = syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && watched(fd, &node) == S_IFREG) {
        if (!before) record(MADE_FILE, path, node, 0, "", 0);
        else if (flags & O_TRUNC) record(SIZED, "", node, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags, mode)                                                                                              \
    mode_t mode = 0;                                                                                                   \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                                                   \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(folder, path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
    uint64_t node = 0;
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0 && inside(path) && at_path(path, &node)) record(MADE_FOLDER, path, node, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- what writes --- */

/* A call that writes, and its record. Where it began is known, or is behind it when it is done (`at` < 0). */
#define WRITING(fd, call, parts, count, at)                                                                            \
    uint64_t node;                                                                                                     \
    if (watched(fd, &node) != S_IFREG) return call;                                                                    \
    pthread_mutex_lock(&lock);                                                                                         \
    ssize_t done = call;                                                                                               \
    if (done > 0) {                                                                                                    \
        struct iovec all[IOV_MAX];                                                                                     \
        if ((count) > IOV_MAX - 2) die("a write of too many parts");                                                   \
        memcpy(all + 2, parts, (count) * sizeof *all);                                                                 \
        int64_t from = (at) >= 0 ? (at) : lseek(fd, 0, SEEK_CUR) - done;                                               \
        record_parts(WRITTEN, "", node, from, all, count, done);                                                       \
    }                                                                                                                  \
    pthread_mutex_unlock(&lock);                                                                                       \
    return done;

ssize_t write(int fd, const void *data, size_t bytes) {
    struct iovec part = {(void *)data, bytes};
    WRITING(fd, syscall(SYS_write, fd, data, bytes), &part, 1, -1)
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    WRITING(fd, syscall(SYS_writev, fd, parts, (unsigned long)count), parts, count, -1)
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) {
    struct iovec part = {(void *)data, bytes};
    WRITING(fd, syscall(SYS_pwrite64, fd, data, bytes, at), &part, 1, at)
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at) {
    struct iovec part = {(void *)data, bytes};
    WRITING(fd, syscall(SYS_pwrite64, fd, data, bytes, at), &part, 1, at)
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    WRITING(fd, syscall(SYS_pwritev, fd, parts, (unsigned long)count, at, 0UL), parts, count, at)
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    WRITING(fd, syscall(SYS_pwritev, fd, parts, (unsigned long)count, at, 0UL), parts, count, at)
}

static int sized(int fd, off64_t bytes) {
    uint64_t node;
    if (watched(fd, &node) != S_IFREG) return syscall(SYS_ftruncate, fd, bytes);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_ftruncate, fd, bytes);
    if (result == 0) record(SIZED, "", node, bytes, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t bytes) { return sized(fd, bytes); }

int ftruncate64(int fd, off64_t bytes) { return sized(fd, bytes); }

/* --- what removes and renames --- */

static int removed(int folder, const char *path, int flags) {
    uint64_t node = 0;
    if (!inside(path)) return syscall(SYS_unlinkat, folder, path, flags);
    pthread_mutex_lock(&lock);
    mode_t type = at_path(path, &node);
    int result = syscall(SYS_unlinkat, folder, path, flags);
    if (result == 0 && (type == S_IFREG || type == S_IFDIR)) record(REMOVED, path, node, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }

int unlinkat(int folder, const char *path, int flags) { return removed(folder, path, flags); }

int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }

int rename(const char *from, const char *to) {
    uint64_t node = 0;
    if (!inside(from) && !inside(to)) return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0U);
    errno = EXDEV;
    if (!inside(from) || !inside(to)) die("a file that comes or goes");
    pthread_mutex_lock(&lock);
    mode_t type = at_path(from, &node);
    int result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0U);
    if (result == 0 && (type == S_IFREG || type == S_IFDIR)) record(RENAMED, from, node, 0, to, strlen(to));
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- what syncs --- */

static int synced(int fd, long call) {
    uint64_t node;
    if (!watched(fd, &node)) return syscall(call, fd);
    pthread_mutex_lock(&lock);
    uint64_t promised = records;
    pthread_mutex_unlock(&lock);
    struct timespec time = {sync_us / 1000000, sync_us % 1000000 * 1000};
    nanosleep(&time, NULL);
    pthread_mutex_lock(&lock);
    if (!lie) record(SYNCED, "", node, promised, "", 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
