process.stdout.write("sluice\n");
