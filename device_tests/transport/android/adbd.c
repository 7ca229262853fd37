/* An adb daemon for the Android-shaped machine: what the real client asks of one, and no more.

   `adbd PORT` serves one client at a time over a serial port of virtio's (with a network, emulated, a push takes twice
   as long), without authentication. `adbd PORT unauthorized` asks for a key and accepts none, `adbd PORT offline` never
   answers: two states of a phone, for tests.

   A service (a shell, a file transfer) is a process group of its own, which runs as Android's user `shell` and gets
   SIGHUP when its stream closes; this program only carries bytes between the groups' sockets and the client's streams.
   Protocol: packages/modules/adb/{protocol.txt,SYNC.TXT,shell_protocol.h} of the Android Open Source Project. */

#define _GNU_SOURCE /* close_range */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORD(text) ((uint32_t)(text)[0] | (uint32_t)(text)[1] << 8 | (uint32_t)(text)[2] << 16 | (uint32_t)(text)[3] << 24)

enum { VERSION = 0x01000001, MAX_PAYLOAD = 256 * 1024, CHUNK = 64 * 1024, SHELL_UID = 2000, STREAMS = 64 };
enum { TOKEN = 1, SIGNATURE = 2 };                     /* of AUTH */
enum { STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN };     /* of shell_v2 */

static const char BANNER[] = "device::ro.product.name=edgewise;ro.product.model=Android-shaped machine;"
                             "ro.product.device=android-vm;features=shell_v2,cmd,fixed_push_mkdir";

struct message { uint32_t command, local, remote, length, sum, magic; };

/* A service and its stream: it may write again once its last data are acknowledged, and be told more once it has read. */
struct stream {
    uint32_t local, remote; /* 0 where the slot is free */
    int fd;
    pid_t group;
    int unacknowledged;
    char *told;
    size_t told_length, told_done;
};

static struct stream streams[STREAMS];
static uint32_t last_local, client_payload;
static int client = -1, lost;
static char data[MAX_PAYLOAD + 1]; /* what is being carried; each process has its own */

/* Read or write all of it, and wait where the descriptor does not block; return 0 where nobody is at its other end. */
static int move_all(int fd, char *at, size_t length, short what) {
    struct pollfd end = {.fd = fd, .events = what};
    for (ssize_t moved; length; at += moved, length -= (size_t)moved) {
        moved = what == POLLIN ? read(fd, at, length) : write(fd, at, length);
        if (moved > 0) continue;
        if (moved == 0 || (errno != EAGAIN && errno != EINTR)) return 0;
        moved = 0;
        while (errno == EAGAIN && poll(&end, 1, -1) < 0);
        if (end.revents & POLLHUP && !(end.revents & what)) return 0;
    }
    return 1;
}

static int read_all(int fd, void *into, size_t length) { return move_all(fd, into, length, POLLIN); }

static int write_all(int fd, const void *from, size_t length) { return move_all(fd, (char *)from, length, POLLOUT); }

/* ---- services: each runs in a process of its own and talks over the one descriptor ---- */

static void run_shell(const char *command) {
    static char *const environment[] = {"PATH=/system/bin", "HOME=/", "USER=shell", "TMPDIR=/data/local/tmp", NULL};
    char *const arguments[] = {"sh", *command ? "-c" : "-i", *command ? (char *)command : NULL, NULL};
    execve("/system/bin/sh", arguments, environment);
    _exit(127);
}

static void send_packet(int fd, uint8_t id, const void *data, uint32_t length) {
    char head[5] = {(char)id};
    memcpy(head + 1, &length, 4);
    if (!write_all(fd, head, 5) || !write_all(fd, data, length)) _exit(1);
}

/* Pass what the client types to the shell; apart from its output, for either may have to wait for the other. */
static void feed_shell(int fd, int input) {
    char head[5];
    uint32_t length;
    signal(SIGPIPE, SIG_IGN);
    while (read_all(fd, head, 5)) {
        memcpy(&length, head + 1, 4);
        if (head[0] == CLOSE_STDIN) close(input);
        if (length > MAX_PAYLOAD || !read_all(fd, data, length)) _exit(0);
        if (head[0] == STDIN) write_all(input, data, length);
    }
    _exit(0);
}

static void shell_v2(int fd, const char *command) {
    int input[2], output[2], errors[2], status = 0;
    if (pipe(input) || pipe(output) || pipe(errors)) _exit(1);
    pid_t shell = fork();
    if (!shell) {
        dup2(input[0], 0), dup2(output[1], 1), dup2(errors[1], 2);
        close_range(3, ~0U, 0);
        run_shell(command);
    }
    close(input[0]), close(output[1]), close(errors[1]);
    pid_t feeder = fork();
    if (!feeder) close(output[0]), close(errors[0]), feed_shell(fd, input[1]);
    close(input[1]);
    struct pollfd ends[2] = {{.fd = output[0], .events = POLLIN}, {.fd = errors[0], .events = POLLIN}};
    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        poll(ends, 2, -1);
        for (int i = 0; i < 2; i++) {
            if (!ends[i].revents) continue;
            ssize_t got = read(ends[i].fd, data, CHUNK);
            if (got > 0) send_packet(fd, i ? STDERR : STDOUT, data, (uint32_t)got);
            else ends[i].fd = -1;
        }
    }
    waitpid(shell, &status, 0);
    uint8_t code = (uint8_t)(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    send_packet(fd, EXIT, &code, 1);
    kill(feeder, SIGKILL);
}

static void answer(int fd, const char *id, uint32_t value) {
    uint32_t words[2] = {WORD(id), value};
    if (!write_all(fd, words, sizeof words)) _exit(1);
}

static void fail(int fd, const char *what) {
    uint32_t length = (uint32_t)snprintf(data, CHUNK, "%s: %s", what, strerror(errno));
    answer(fd, "FAIL", length);
    write_all(fd, data, length);
}

/* Take a file. After a failure the client's remaining data are read and thrown away, as it does not stop at once. */
static void take_file(int fd, char *path) {
    uint32_t words[2];
    char *comma = strrchr(path, ',');
    mode_t mode = comma ? (mode_t)strtoul(comma + 1, NULL, 10) & 0777 : 0644;
    if (comma) *comma = 0;
    for (char *slash = path; (slash = strchr(slash + 1, '/')); *slash = '/') {
        *slash = 0;
        mkdir(path, 0775); /* what is there already is fine; what cannot be made, the file itself will tell */
    }
    unlink(path);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, mode), good = file >= 0;
    if (!good) fail(fd, "couldn't create file");
    while (read_all(fd, words, sizeof words) && words[0] == WORD("DATA") && words[1] <= CHUNK) {
        if (!read_all(fd, data, words[1])) _exit(1);
        if (good && !write_all(file, data, words[1])) {
            good = 0;
            fail(fd, "write failed");
            unlink(path);
        }
    }
    if (file >= 0) fchmod(file, mode), close(file);
    if (good && words[0] == WORD("DONE")) answer(fd, "OKAY", 0);
}

static void give_file(int fd, const char *path) {
    int file = open(path, O_RDONLY);
    ssize_t got = -1;
    while (file >= 0 && (got = read(file, data, CHUNK)) > 0) {
        answer(fd, "DATA", (uint32_t)got);
        if (!write_all(fd, data, (size_t)got)) _exit(1);
    }
    if (got < 0) fail(fd, file < 0 ? "open failed" : "read failed");
    else answer(fd, "DONE", 0);
    if (file >= 0) close(file);
}

static void tell_status(int fd, const char *id, const char *path) {
    struct stat found;
    uint32_t words[4] = {WORD(id), 0, 0, 0};
    if (!lstat(path, &found)) words[1] = found.st_mode, words[2] = (uint32_t)found.st_size, words[3] = (uint32_t)found.st_mtime;
    write_all(fd, words, sizeof words);
}

static void list_folder(int fd, const char *path) {
    char member[8192];
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        uint32_t length = (uint32_t)strlen(entry->d_name);
        snprintf(member, sizeof member, "%s/%s", path, entry->d_name);
        tell_status(fd, "DENT", member);
        write_all(fd, &length, 4), write_all(fd, entry->d_name, length);
    }
    if (folder) closedir(folder);
    write_all(fd, (uint32_t[5]){WORD("DONE")}, 5 * sizeof(uint32_t));
}

static void transfer_files(int fd) {
    uint32_t words[2];
    char path[4096];
    while (read_all(fd, words, sizeof words) && words[0] != WORD("QUIT")) {
        if (words[1] >= sizeof path || !read_all(fd, path, words[1])) return;
        path[words[1]] = 0;
        if (words[0] == WORD("STAT")) tell_status(fd, "STAT", path);
        else if (words[0] == WORD("LIST")) list_folder(fd, path);
        else if (words[0] == WORD("SEND")) take_file(fd, path);
        else if (words[0] == WORD("RECV")) give_file(fd, path);
        else return;
    }
}

/* Run what a stream asks for, in a process that may do what Android's shell may. */
static void serve(int fd, const char *asked) {
    const char *command = strchr(asked, ':') + 1;
    fd = dup2(fd, 3);
    close_range(4, ~0U, 0);
    signal(SIGCHLD, SIG_DFL), signal(SIGPIPE, SIG_DFL);
    setsid(), umask(0);
    if (setgroups(0, NULL) || setgid(SHELL_UID) || setuid(SHELL_UID) || chdir("/")) _exit(1);
    if (!strncmp(asked, "sync:", 5)) transfer_files(fd);
    else if (!strncmp(asked, "shell,v2", 8)) shell_v2(fd, command);
    else dup2(fd, 0), dup2(fd, 1), dup2(fd, 2), close(fd), run_shell(command);
    _exit(0);
}

/* ---- the client's side ---- */

static void send_message(uint32_t command, uint32_t local, uint32_t remote, const void *data, uint32_t length) {
    struct message message = {command, local, remote, length, 0, ~command};
    for (uint32_t i = 0; i < length; i++) message.sum += ((const uint8_t *)data)[i];
    lost |= !write_all(client, &message, sizeof message) || !write_all(client, data, length);
}

static struct stream *find(uint32_t local) {
    for (struct stream *stream = streams; stream < streams + STREAMS; stream++)
        if (stream->local == local) return stream;
    return NULL;
}

static void close_stream(struct stream *stream) {
    send_message(WORD("CLSE"), stream->local, stream->remote, "", 0);
    kill(-stream->group, SIGHUP);
    close(stream->fd);
    free(stream->told);
    *stream = (struct stream){0};
}

static void close_streams(void) {
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].local) close_stream(&streams[i]);
}

static void open_stream(uint32_t remote, const char *asked) {
    static const char *const services[] = {"shell:", "shell,", "exec:", "sync:"};
    struct stream *stream = find(0);
    int ends[2], known = 0;
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        known |= !strncmp(asked, services[i], strlen(services[i])) && strchr(asked, ':');
    if (!known || !stream || socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) {
        send_message(WORD("CLSE"), 0, remote, "", 0);
        return;
    }
    pid_t group = fork();
    if (!group) serve(ends[1], asked);
    close(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *stream = (struct stream){.local = ++last_local, .remote = remote, .fd = ends[0], .group = group};
    send_message(WORD("OKAY"), stream->local, remote, "", 0);
}

/* Act on one message of the client's; return 0 where it went away. */
static int hear(const char *mood) {
    struct message got;
    if (!read_all(client, &got, sizeof got)) return 0;
    while (got.magic != ~got.command || got.length > MAX_PAYLOAD) { /* the rest of what a lost client was saying */
        memmove(&got, (char *)&got + 1, sizeof got - 1);
        if (!read_all(client, (char *)&got + sizeof got - 1, 1)) return 0;
    }
    if (!read_all(client, data, got.length)) return 0;
    data[got.length] = 0;
    struct stream *stream = got.remote ? find(got.remote) : NULL; /* it may be closed meanwhile */
    if (!strcmp(mood, "offline")) return 1;
    if (!strcmp(mood, "unauthorized")) { /* every signature is wrong; a public key waits for a person who never comes */
        if (got.command == WORD("CNXN") || (got.command == WORD("AUTH") && got.local == SIGNATURE))
            send_message(WORD("AUTH"), TOKEN, 0, "twenty bytes of token", 20);
    } else if (got.command == WORD("CNXN")) {
        close_streams(); /* of one who went away unnoticed */
        client_payload = got.remote < CHUNK ? got.remote : CHUNK;
        send_message(WORD("CNXN"), VERSION, MAX_PAYLOAD, BANNER, sizeof BANNER - 1);
    } else if (got.command == WORD("OPEN")) open_stream(got.local, data);
    else if (stream && got.command == WORD("OKAY")) stream->unacknowledged = 0;
    else if (stream && got.command == WORD("CLSE")) close_stream(stream);
    else if (stream && got.command == WORD("WRTE")) {
        if (stream->told) return 0; /* more, before the last was acknowledged */
        stream->told = memcpy(malloc(got.length + 1), data, got.length);
        stream->told_length = got.length, stream->told_done = 0;
    }
    return 1;
}

/* Carry bytes to and from a service that is ready for it. */
static void carry(struct stream *stream, short ready) {
    if (stream->told && ready & (POLLOUT | POLLERR | POLLHUP)) {
        ssize_t put = write(stream->fd, stream->told + stream->told_done, stream->told_length - stream->told_done);
        stream->told_done += put > 0 ? (size_t)put : 0;
        if (stream->told_done == stream->told_length || (put < 0 && errno == EPIPE)) {
            free(stream->told);
            stream->told = NULL;
            send_message(WORD("OKAY"), stream->local, stream->remote, "", 0);
        }
    }
    if (!stream->unacknowledged && ready & (POLLIN | POLLERR | POLLHUP)) {
        ssize_t got = read(stream->fd, data, client_payload);
        if (got > 0) {
            stream->unacknowledged = 1;
            send_message(WORD("WRTE"), stream->local, stream->remote, data, (uint32_t)got);
        } else if (!(got < 0 && errno == EAGAIN)) close_stream(stream);
    }
}

static void talk(const char *mood) {
    struct pollfd ends[STREAMS + 1];
    for (;;) {
        ends[STREAMS] = (struct pollfd){.fd = client, .events = POLLIN};
        for (int i = 0; i < STREAMS; i++) {
            int wants = (streams[i].unacknowledged ? 0 : POLLIN) | (streams[i].told ? POLLOUT : 0);
            /* a hang-up is reported whether asked for or not, also while nothing can be done about it */
            ends[i] = (struct pollfd){.fd = streams[i].local && wants ? streams[i].fd : -1, .events = (short)wants};
        }
        if (poll(ends, STREAMS + 1, -1) < 0) continue;
        for (int i = 0; i < STREAMS; i++)
            if (ends[i].fd >= 0 && ends[i].revents) carry(&streams[i], ends[i].revents);
        if (lost || (ends[STREAMS].revents && !hear(mood))) return;
    }
}

int main(int count, char **arguments) {
    struct pollfd end = {.fd = client = open(arguments[1], O_RDWR | O_NONBLOCK), .events = POLLIN};
    signal(SIGCHLD, SIG_IGN), signal(SIGPIPE, SIG_IGN);
    for (; client >= 0; close_streams()) {
        while (poll(&end, 1, -1) < 0 || end.revents & POLLHUP) usleep(20000); /* until somebody connects */
        lost = 0;
        talk(count > 2 ? arguments[2] : "");
    }
    perror("adbd");
    return 1;
}
