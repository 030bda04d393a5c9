% Average precision as PASCAL VOC's devkit computes it, written down anew: the loop of 2007's
% VOCevalcls.m and VOCap.m of 2010 on. Reads cases.txt, writes octave.txt; devkit_in_octave.py calls it.
1;

function ap = eleven_points(rec, prec)
  ap = 0;
  for t = 0:0.1:1
    p = max(prec(rec >= t));
    if isempty(p)
      p = 0;
    end
    ap = ap + p / 11;
  end
end

function ap = area(rec, prec)
  mrec = [0; rec; 1];
  mpre = [0; prec; 0];
  for i = numel(mpre) - 1:-1:1
    mpre(i) = max(mpre(i), mpre(i + 1));
  end
  i = find(mrec(2:end) ~= mrec(1:end - 1)) + 1;
  ap = sum((mrec(i) - mrec(i - 1)) .* mpre(i));
end

cases = fopen("cases.txt");
out = fopen("octave.txt", "w");
for k = 1:str2num(fgetl(cases))
  gt = str2num(fgetl(cases))';
  confidence = str2num(fgetl(cases))';
  [~, order] = sort(-confidence);
  tp = cumsum(gt(order) > 0);
  fp = cumsum(gt(order) < 0);
  rec = tp / sum(gt > 0);
  prec = tp ./ (fp + tp);
  fprintf(out, "%.17g %.17g\n", eleven_points(rec, prec), area(rec, prec));
end
fclose(out);
