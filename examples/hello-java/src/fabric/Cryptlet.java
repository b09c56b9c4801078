package fabric;

import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** A cryptlet as a program: reads calls from standard input, writes answers to standard output (docs/writing-cryptlets.md). */
public final class Cryptlet {
    /** What an author writes: call data in, return data out. */
    public interface Handler {
        byte[] handle(Call call) throws Refusal;
    }

    /** A call: who makes it, under what terms, and its data. */
    public record Call(
            byte[] caller, byte[] cryptlet, byte[] key, boolean isStatic, boolean isDryRun, long observedAt,
            long unitsMax, long outputBytesMax, byte[] seed, byte[] data) {}

    /** A failure that the calling contract sees. */
    public static final class Refusal extends Exception {
        private static final long serialVersionUID = 1;
        private final transient byte[] data;

        /** With revert data of the author's own. */
        public Refusal(byte[] data) {
            this.data = data;
        }

        /** With `Error(string)`, as Solidity's `require` gives. */
        public Refusal(String reason) {
            this(Abi.error(reason));
        }
    }

    private static final int VERSION = 1;
    private static final int HELLO = 0x01, CALL = 0x02, READY = 0x81, RETURNED = 0x82, FAILED = 0x83, LOG = 0x84;

    private final DataInputStream in = new DataInputStream(new FileInputStream(FileDescriptor.in));
    private final DataOutputStream out =
            new DataOutputStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16));

    private Cryptlet() {}

    private static Cryptlet connection;

    /** Serves calls until the host is gone. Whatever the program prints goes to standard error. */
    public static void serve(Handler handler) throws IOException {
        System.setOut(System.err);
        connection = new Cryptlet();
        connection.greet();
        try {
            while (true) connection.answer(handler);
        } catch (EOFException hostIsGone) {
            return;
        }
    }

    /** A line for the operator's log. */
    public static void log(String line) throws IOException {
        connection.send(LOG, line.getBytes(StandardCharsets.UTF_8));
    }

    private void greet() throws IOException {
        ByteBuffer hello = frame();
        if (hello.get() != HELLO || hello.getShort() != VERSION) throw new IOException("the host speaks another version");
        send(READY, new byte[] {0, VERSION});
    }

    private void answer(Handler handler) throws IOException {
        ByteBuffer frame = frame();
        if (frame.get() != CALL) throw new IOException("not a call");
        byte[] caller = take(frame, 20), cryptlet = take(frame, 32), key = take(frame, 32);
        byte flags = frame.get();
        long observedAt = frame.getLong(), unitsMax = frame.getLong(), room = Integer.toUnsignedLong(frame.getInt());
        byte[] seed = take(frame, 32), data = take(frame, frame.remaining());
        boolean isStatic = (flags & 1) != 0, isDryRun = (flags & 2) != 0;
        try {
            send(RETURNED, handler.handle(
                    new Call(caller, cryptlet, key, isStatic, isDryRun, observedAt, unitsMax, room, seed, data)));
        } catch (Refusal refusal) {
            send(FAILED, refusal.data);
        }
    }

    private ByteBuffer frame() throws IOException {
        byte[] frame = new byte[in.readInt()];
        in.readFully(frame);
        return ByteBuffer.wrap(frame);
    }

    private void send(int kind, byte[] data) throws IOException {
        out.writeInt(data.length + 1);
        out.writeByte(kind);
        out.write(data);
        out.flush();
    }

    private static byte[] take(ByteBuffer frame, int count) {
        byte[] bytes = new byte[count];
        frame.get(bytes);
        return bytes;
    }
}
