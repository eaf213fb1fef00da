//! An operator asks a running process what failed, over a Unix socket that only its owner can open.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]
use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use vacancy::dispatch::{BoxError, Bus, FlightRecorder, inline_fn, listen_fn};
use vacancy::slots::{Appointment, AppointmentBooked};
use vacancy_console::Console;

/// What a program adds: every line is a command, and its answer goes back.
async fn serve(console: Console, socket: UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = socket.accept().await?;
        let console = console.clone();
        tokio::spawn(async move {
            let (input, mut output) = stream.into_split();
            let mut lines = BufReader::new(input.take(4096)).lines();
            while let Some(line) = lines.next_line().await? {
                output.write_all(console.answer(&line).as_bytes()).await?;
            }
            io::Result::Ok(())
        });
    }
}
#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let bus = Bus::builder()
        .flight_recorder(FlightRecorder::default())
        .inline(inline_fn("statistics", |_: &AppointmentBooked| ()))
        .listen::<AppointmentBooked, _>(listen_fn("confirmation", |_| async {
            Err("the mail server does not answer".into())
        }))
        .build()?;
    let directory = std::env::temp_dir().join(format!("vacancy-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&directory)?;
    let path = directory.join("console.sock");
    let socket = UnixListener::bind(&path)?;
    tokio::spawn(serve(Console::new(bus.clone()), socket));

    let hour = "2025-10-15T14:00:00Z/2025-10-15T15:00:00Z".parse()?;
    let booked = AppointmentBooked::new(Appointment::new(1.into(), 15.into(), hour));
    bus.dispatch(booked).settled().await;

    // Elsewhere: echo failed | socat - UNIX-CONNECT:$path
    for line in ["list", "failed", "explain 1", "replay 1"] {
        let mut stream = UnixStream::connect(&path).await?;
        stream.write_all(line.as_bytes()).await?;
        stream.shutdown().await?; // no more lines
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        println!("> {line}\n{answer}");
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
